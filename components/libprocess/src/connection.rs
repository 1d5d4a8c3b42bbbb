//! One connection to one remote address: connects, writes batches, discards answers.

use crate::{
    Exited,
    outbox::{Peer, Shared},
};
use std::{io, sync::Arc, time::Duration};
use tokio::{net::TcpStream, time};

/// A buffer that grew beyond this for a burst is given back afterwards.
const KEEP_CAPACITY: usize = 64 * 1024;
/// How long the other side may take to close after we did.
const DRAIN: Duration = Duration::from_secs(5);

/// Why a connection is left.
enum Left {
    /// It broke or the other side closed it.
    Broken,
    /// A new one was asked for.
    Relink,
    /// Everything is written and nobody links to it.
    Idle,
    /// The outbox closes.
    Cancelled,
}

/// Serves one peer until its connection ends or nobody needs it any more.
pub(crate) async fn run(shared: Arc<Shared>, peer: Arc<Peer>) {
    loop {
        let left = tokio::select! {
            left = attempt(&shared, &peer) => left,
            () = shared.cancel.cancelled() => Left::Cancelled,
        };
        if matches!(left, Left::Relink) {
            continue;
        }
        let Some(linked) = end(&peer, &left) else { continue };
        shared.forget(&peer);
        if linked && matches!(left, Left::Broken) {
            let exited = Exited { address: peer.address };
            tokio::select! {
                _ = shared.exits.send(exited) => {}
                () = shared.cancel.cancelled() => {}
            }
        }
        return;
    }
}

/// Marks the peer as ended and says whether it was linked; `None` if an idle one has work again.
fn end(peer: &Peer, left: &Left) -> Option<bool> {
    let mut state = peer.lock();
    if matches!(left, Left::Idle) && (state.linked || !state.buffer.is_empty()) {
        return None;
    }
    state.closed = true;
    state.buffer = Vec::new();
    Some(state.linked)
}

async fn attempt(shared: &Shared, peer: &Peer) -> Left {
    peer.lock().relink = false;
    let connecting = time::timeout(shared.config.connect_timeout, TcpStream::connect(peer.address));
    let stream = match connecting.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return broken(peer, &error),
        Err(_) => return broken(peer, &io::ErrorKind::TimedOut.into()),
    };
    // Messages are small and latency matters more than packets.
    let _ = stream.set_nodelay(true);
    match serve(shared, peer, &stream).await {
        Ok(left) => {
            if matches!(left, Left::Idle) {
                shared.tasks.spawn(hang_up(stream));
            }
            left
        }
        Err(error) => broken(peer, &error),
    }
}

fn broken(peer: &Peer, error: &io::Error) -> Left {
    tracing::debug!(address = %peer.address, %error, "a libprocess connection ended");
    Left::Broken
}

/// Writes what is queued and reads answers, both at once: a peer whose answers nobody reads
/// would stop reading too.
async fn serve(shared: &Shared, peer: &Peer, stream: &TcpStream) -> io::Result<Left> {
    let mut batch = Vec::new();
    let mut written = 0;
    loop {
        // Even amid a batch: a half-open connection may never take the rest of it.
        if peer.lock().relink {
            return Ok(Left::Relink);
        }
        if written == batch.len() {
            batch = recycle(batch);
            written = 0;
            let mut state = peer.lock();
            std::mem::swap(&mut batch, &mut state.buffer);
            if batch.is_empty() && state.finish {
                return Ok(Left::Idle);
            }
        }
        let idle = batch.is_empty();
        tokio::select! {
            ready = stream.readable() => { ready?; discard(stream).await?; }
            ready = stream.writable(), if !idle => {
                ready?;
                written += write_some(stream, batch.get(written..).unwrap_or_default())?;
            }
            () = peer.wake.notified() => {}
            () = time::sleep(shared.config.linger), if idle && !peer.lock().linked => {
                return Ok(Left::Idle);
            }
        }
    }
}

fn recycle(mut batch: Vec<u8>) -> Vec<u8> {
    batch.clear();
    if batch.capacity() > KEEP_CAPACITY { Vec::new() } else { batch }
}

fn write_some(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.try_write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

/// Answers say nothing worth knowing; only the end of the stream does.
async fn discard(stream: &TcpStream) -> io::Result<()> {
    let mut scratch = [0; 4096];
    for _ in 0..16 {
        match stream.try_read(&mut scratch) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    // There may be more: whoever sends without end must not keep others waiting.
    tokio::task::yield_now().await;
    Ok(())
}

/// Closes our direction and waits for the other: closing with answers unread would reset the
/// connection, and a reset can cost the peer messages it has not read yet.
async fn hang_up(mut stream: TcpStream) {
    use tokio::io::AsyncWriteExt;
    let _ = stream.shutdown().await;
    let _ = time::timeout(DRAIN, async {
        while stream.readable().await.is_ok() && discard(&stream).await.is_ok() {}
    })
    .await;
}
