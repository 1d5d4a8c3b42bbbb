//! libprocess v0 messaging between processes: addresses, `POST /<id>/<message>`, links.
//!
//! It is not: aware of what the messages mean; bodies are bytes.
