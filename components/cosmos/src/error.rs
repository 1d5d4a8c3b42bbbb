//! What goes wrong, in the original's words: a type that clients switch on, a message they
//! print, and details.

use http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use http_kit::guard::Refusal;
use serde_json::{Value, json};
use universe::collection::LookupError;
use universe::{MediaType, Object, PackageFault, RenderError, RepositoryError};

/// More faults of one repository than this are not all told.
const TOLD: usize = 20;

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{kind}: {message}")]
pub(crate) struct Failure {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    pub(crate) data: Option<Object>,
    pub(crate) status: StatusCode,
    /// Header of the answer, where there is one.
    pub(crate) header: Option<(HeaderName, HeaderValue)>,
}

/// The name and URI of a repository, one of which may be missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameOrUri<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) uri: Option<&'a str>,
}

// === impl Failure ===

impl Failure {
    pub(crate) fn new(kind: &'static str, message: impl Into<String>) -> Failure {
        let status = StatusCode::BAD_REQUEST;
        Failure { kind, message: message.into(), data: None, status, header: None }
    }

    /// An exception that the original lets through.
    pub(crate) fn unhandled(message: impl Into<String>) -> Failure {
        Failure::new("unhandled_exception", message).status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn data(mut self, data: Value) -> Failure {
        if let Value::Object(data) = data {
            self.data = Some(data);
        }
        self
    }

    pub(crate) fn status(mut self, status: StatusCode) -> Failure {
        self.status = status;
        self
    }

    /// A status that the original also shows among the details.
    fn shown_status(mut self, status: StatusCode) -> Failure {
        self.data.get_or_insert_default().insert("status".to_owned(), status.as_u16().into());
        self.status(status)
    }

    /// The message, with the reason that only the details tell.
    pub(crate) fn explained(&self) -> String {
        let reason = self.data.as_ref().and_then(|data| {
            let reasons = ["cause", "decodingErrorMessage", "parsingErrorMessage"];
            reasons.iter().find_map(|name| data.get(*name)).and_then(Value::as_str)
        });
        match reason {
            Some(reason) => format!("{}: {reason}", self.message),
            None => self.message.clone(),
        }
    }

    /// `{type, message, data}`.
    pub(crate) fn body(&self) -> Object {
        let mut body = Object::new();
        body.insert("type".to_owned(), self.kind.into());
        body.insert("message".to_owned(), self.message.as_str().into());
        if let Some(data) = &self.data {
            body.insert("data".to_owned(), Value::Object(data.clone()));
        }
        body
    }

    // --- requests ---

    pub(crate) fn not_present(item: &str) -> Failure {
        Failure::new("not_present", format!("Item {item} not present but required"))
    }

    pub(crate) fn not_parsed(item: &str, reason: &str) -> Failure {
        Failure::new("not_parsed", format!("Item '{item}' unable to be parsed: {reason}"))
    }

    pub(crate) fn not_valid(item: &str, rule: &str) -> Failure {
        Failure::new("not_valid", format!("Item {item} deemed invalid by rule: {rule}"))
    }

    /// One error as it is, several as one.
    pub(crate) fn several(mut all: Vec<Failure>) -> Failure {
        if all.len() == 1
            && let Some(one) = all.pop()
        {
            return one;
        }
        let errors: Vec<Object> = all.iter().map(Failure::body).collect();
        Failure::new("multiple_errors", "Multiple errors while processing request")
            .data(json!({"errors": errors}))
    }

    // --- repositories ---

    pub(crate) fn concurrent_access() -> Failure {
        let message = "Retry operation. Operation didn't complete due to concurrent access.";
        Failure::new("ConcurrentAccess", message)
    }

    pub(crate) fn unsupported_repository_uri(uri: &str) -> Failure {
        let why = "uses an unsupported scheme. Only http and https are supported, and file:/path";
        Failure::new("UnsupportedRepositoryUri", format!("Repository URI [{uri}] {why}"))
            .data(json!({"uri": uri}))
    }

    pub(crate) fn repository_uri_syntax(name: &str, uri: &str, cause: &str) -> Failure {
        let message = format!("URI for repository [{name}] has invalid syntax: {uri}");
        Failure::new("RepositoryUriSyntax", message)
            .data(json!({"repository": {"name": name, "uri": uri}, "cause": cause}))
    }

    pub(crate) fn repository_uri_connection(name: &str, uri: &str, cause: &str) -> Failure {
        let message = format!("Could not access data at URI for repository [{name}]: {uri}");
        Failure::new("RepositoryUriConnection", message)
            .data(json!({"repository": {"name": name, "uri": uri}, "cause": cause}))
    }

    pub(crate) fn universe_client_http(name: &str, uri: &str, found: StatusCode) -> Failure {
        let found = found.as_u16();
        let message = format!(
            "Unexpected upstream http error while fetching repository '{name}' at {uri}: GET {found}"
        );
        let repository = json!({"name": name, "uri": uri});
        Failure::new("UniverseClientHttpError", message)
            .data(json!({"packageRepository": repository, "method": "GET", "clientStatus": found}))
            .shown_status(StatusCode::BAD_REQUEST)
    }

    pub(crate) fn unsupported_content_type(
        supported: &[MediaType],
        actual: Option<&str>,
    ) -> Failure {
        let supported: Vec<String> = supported.iter().map(ToString::to_string).collect();
        let list = supported.join(", ");
        let message = match actual {
            Some(actual) => format!("Unsupported Content-Type: {actual} Accept: [{list}]"),
            None => format!("Unspecified Content-Type Accept: [{list}]"),
        };
        Failure::new("UnsupportedContentType", message)
            .data(json!({"supported": supported, "actual": actual}))
    }

    pub(crate) fn unsupported_content_encoding(actual: &str) -> Failure {
        let message = format!("Unsupported Content-Encoding: {actual} Accept-Encoding: [gzip]");
        Failure::new("UnsupportedContentEncoding", message)
            .data(json!({"supported": ["gzip"], "actual": actual}))
    }

    pub(crate) fn unsupported_redirect(supported: &str, actual: Option<&str>) -> Failure {
        let mut message = format!("Unsupported redirect scheme - supported: [{supported}]");
        if let Some(actual) = actual {
            message.push_str(&format!(" actual: {actual}"));
        }
        Failure::new("UnsupportedRedirect", message)
            .data(json!({"supported": [supported], "actual": actual}))
    }

    /// A document that is not a repository. What it holds is not shown: it may come from a file
    /// of this host.
    pub(crate) fn repository_document(error: &RepositoryError) -> Failure {
        match error {
            RepositoryError::Syntax { .. } => json_parsing(&error.to_string(), ""),
            _ => {
                json_decoding("com.mesosphere.universe.v4.model.Repository", &error.to_string(), "")
            }
        }
    }

    /// A repository with packages that are not valid.
    pub(crate) fn repository_packages(faults: &[PackageFault]) -> Failure {
        let kind = "com.mesosphere.universe.v4.model.Repository";
        json_decoding(kind, &tell(faults), "")
    }

    pub(crate) fn repository_already_present(same: NameOrUri<'_>) -> Failure {
        let message = match (same.name, same.uri) {
            (Some(name), Some(uri)) => {
                format!(
                    "Repository name [{name}] and URI [{uri}] are both already present in the list"
                )
            }
            (Some(name), None) => {
                format!("Repository name [{name}] is already present in the list")
            }
            (None, uri) => {
                format!(
                    "Repository URI [{}] is already present in the list",
                    uri.unwrap_or_default()
                )
            }
        };
        Failure::new("RepositoryAlreadyPresent", message).data(same.json())
    }

    pub(crate) fn repository_not_present(wanted: NameOrUri<'_>) -> Failure {
        let message = match (wanted.name, wanted.uri) {
            (Some(name), Some(uri)) => {
                format!("Neither repository name [{name}] nor URI [{uri}] are present in the list")
            }
            (Some(name), None) => format!("Repository name [{name}] is not present in the list"),
            (None, uri) => {
                format!("Repository URI [{}] is not present in the list", uri.unwrap_or_default())
            }
        };
        Failure::new("RepositoryNotPresent", message).data(wanted.json())
    }

    pub(crate) fn repo_name_or_uri_missing() -> Failure {
        let message = "Must specify either the name or URI of the repository";
        Failure::new("RepoNameOrUriMissing", message)
    }

    pub(crate) fn repository_index(attempted: i64, max: usize) -> Failure {
        let range = match max {
            0 => "can be at most 0".to_owned(),
            max => format!("must be between 0 and {max} inclusive."),
        };
        let message = format!("Index ({attempted}) is out of range. Index value {range}");
        Failure::new("RepositoryAddIndexOutOfBounds", message)
            .data(json!({"attempted": attempted, "max": max}))
    }

    // --- packages ---

    pub(crate) fn template_not_found(name: &str, version: &str) -> Failure {
        let message = format!(
            "Package: [{name}] version: [{version}] does not have a Marathon template defined and can \
             not be rendered"
        );
        Failure::new("ServiceMarathonTemplateNotFound", message)
            .data(json!({"packageName": name, "packageVersion": version}))
    }

    pub(crate) fn no_old_description() -> Failure {
        let message = universe::describe::NoOldForm.to_string();
        Failure::new("ConversionFromPackageToV2DescribeResponse", message)
    }

    /// Not in the original, whose repositories leave such packages out themselves.
    pub(crate) fn release_too_old(name: &str, version: &str, needed: &str, have: &str) -> Failure {
        let message = format!(
            "Package [{name}] version [{version}] needs DC/OS {needed} or later; this is {have}"
        );
        Failure::new("MinDcosReleaseVersionNotMet", message).data(json!({
            "packageName": name, "packageVersion": version,
            "minDcosReleaseVersion": needed, "dcosReleaseVersion": have,
        }))
    }

    // --- installing ---

    pub(crate) fn package_already_installed() -> Failure {
        Failure::new("PackageAlreadyInstalled", "Package is already installed")
            .status(StatusCode::CONFLICT)
    }

    pub(crate) fn service_already_started() -> Failure {
        Failure::new("ServiceAlreadyStarted", "The DC/OS service has already been started")
            .status(StatusCode::CONFLICT)
    }

    pub(crate) fn marathon_bad_response(message: &str, details: Option<Value>) -> Failure {
        let failure = Failure::new("MarathonBadResponse", message);
        match details {
            Some(details) => failure.data(json!({"errors": details})),
            None => failure,
        }
    }

    pub(crate) fn marathon_generic(status: StatusCode) -> Failure {
        let message = format!("Received response status code {} from Marathon", status.as_u16());
        Failure::new("MarathonGenericError", message)
            .data(json!({"marathonStatus": status.as_u16()}))
            .shown_status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn marathon_bad_gateway(status: StatusCode) -> Failure {
        let message = format!("Received response status code {} from Marathon", status.as_u16());
        Failure::new("MarathonBadGateway", message)
            .data(json!({"marathonStatus": status.as_u16()}))
            .shown_status(StatusCode::BAD_GATEWAY)
    }

    pub(crate) fn marathon_app_not_found(id: &str) -> Failure {
        let message = format!("Unable to locate service with marathon appId: '{id}'");
        Failure::new("MarathonAppNotFound", message).data(json!({"appId": id}))
    }

    pub(crate) fn marathon_app_delete(id: &str) -> Failure {
        Failure::new("MarathonAppDeleteError", format!("Error while deleting marathon app '{id}'"))
            .data(json!({"appId": id}))
    }

    pub(crate) fn app_id_changed(new: &str, old: &str) -> Failure {
        let message = format!("The new appId {new} must be equal to the old appId {old}");
        Failure::new("AppIdChanged", message).data(json!({"newAppId": new, "oldAppId": old}))
    }

    pub(crate) fn options_not_stored() -> Failure {
        Failure::new("OptionsNotStored", "The options of the current service were not stored")
    }

    pub(crate) fn version_upgrade(requested: &str, actual: &str) -> Failure {
        let message = "Version Upgrades are an Enterprise DC/OS feature only";
        Failure::new("VersionUpgradeNotSupportedInOpen", message)
            .data(json!({"requested": requested, "actual": actual}))
    }

    // --- uninstalling ---

    pub(crate) fn ambiguous_app_id(name: &str, ids: &[String]) -> Failure {
        let message = format!("Multiple apps named [{name}] are installed: [{}]", ids.join(", "));
        Failure::new("AmbiguousAppId", message).data(json!({"packageName": name, "appIds": ids}))
    }

    pub(crate) fn package_not_installed(name: &str) -> Failure {
        Failure::new("PackageNotInstalled", format!("Package [{name}] is not installed"))
            .data(json!({"packageName": name}))
    }

    pub(crate) fn uninstall_non_existent(name: &str, id: &str) -> Failure {
        let message = format!("Package [{name}] with id [{id}] is not installed");
        Failure::new("UninstallNonExistentAppForPackage", message)
            .data(json!({"packageName": name, "appId": id}))
    }

    pub(crate) fn failed_to_start_uninstall(id: &str, explanation: &str) -> Failure {
        let message = format!("Failed to start an uninstall for the service '{id}': {explanation}");
        Failure::new("FailedToStartUninstall", message)
            .data(json!({"appId": id, "explanation": explanation}))
    }

    /// Not in the original, where an update undoes the uninstall half way.
    pub(crate) fn service_uninstalling(id: &str) -> Failure {
        let message = format!("The service '{id}' is being uninstalled");
        Failure::new("ServiceUninstalling", message)
            .data(json!({"appId": id}))
            .status(StatusCode::CONFLICT)
    }

    /// Not in the original, which begins as much as it is asked for.
    pub(crate) fn busy(what: &str) -> Failure {
        let message = format!("Too many requests to compute at once: {what} was not begun");
        Failure::new("Busy", message).shown_status(StatusCode::SERVICE_UNAVAILABLE)
    }

    pub(crate) fn incomplete_uninstall(name: &str) -> Failure {
        let message =
            format!("Incomplete uninstall of package [{name}] due to Mesos unavailability");
        Failure::new("IncompleteUninstall", message)
            .data(json!({"packageName": name}))
            .shown_status(StatusCode::SERVICE_UNAVAILABLE)
    }

    pub(crate) fn multiple_framework_ids(
        name: &str,
        version: Option<&str>,
        framework: &str,
        ids: &[String],
    ) -> Failure {
        let what = match version {
            Some(version) => format!("Uninstalled package [{name}] version [{version}]"),
            None => format!("Uninstalled package [{name}]"),
        };
        let message = format!(
            "{what}\nUnable to shutdown [{name}] service framework with name [{framework}] because \
             there are multiple framework ids matching this name: [{}]",
            ids.join(", ")
        );
        Failure::new("MultipleFrameworkIds", message).data(json!({
            "packageName": name, "packageVersion": version, "frameworkName": framework, "ids": ids,
        }))
    }

    // --- other services ---

    pub(crate) fn service_unavailable(service: &str) -> Failure {
        let message =
            format!("Unable to complete request due to service [{service}] unavailability");
        Failure::new("ServiceUnavailable", message)
            .data(json!({"serviceName": service}))
            .shown_status(StatusCode::SERVICE_UNAVAILABLE)
    }

    pub(crate) fn unauthorized(service: &str, headers: &HeaderMap) -> Failure {
        let realm = headers.get(WWW_AUTHENTICATE).cloned();
        let shown = realm.as_ref().and_then(|realm| realm.to_str().ok());
        let message = format!(
            "Unable to complete request due to Unauthorized response from service [{service}]"
        );
        let mut failure = Failure::new("Unauthorized", message)
            .data(json!({"serviceName": service, "realm": shown}))
            .shown_status(StatusCode::UNAUTHORIZED);
        failure.header = realm.map(|realm| (WWW_AUTHENTICATE, realm));
        failure
    }

    pub(crate) fn forbidden(service: &str, destination: Option<&str>) -> Failure {
        let mut message = format!(
            "Unable to complete request due to Forbidden response from service [{service}]"
        );
        if let Some(destination) = destination {
            // Without a blank between, as in the original.
            message.push_str(&format!(" while accessing{destination}"));
        }
        Failure::new("Forbidden", message)
            .data(json!({"serviceName": service, "destination": destination}))
            .shown_status(StatusCode::FORBIDDEN)
    }

    /// Whoever asks may not use this service.
    pub(crate) fn refused(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Unauthenticated => {
                let mut answer = http_kit::respond::ok();
                refusal.decorate(&mut answer);
                Failure::unauthorized("cosmos", answer.headers())
            }
            Refusal::Forbidden => Failure::forbidden("cosmos", None),
            Refusal::Unavailable => Failure::service_unavailable("iam"),
        }
    }

    /// A page of another origin would change something.
    pub(crate) fn foreign() -> Failure {
        Failure::new("Forbidden", http_kit::origin::REFUSAL).shown_status(StatusCode::FORBIDDEN)
    }

    pub(crate) fn generic_http(method: &http::Method, uri: &str, found: StatusCode) -> Failure {
        let found = found.as_u16();
        let message = format!("Unexpected upstream http error: {method} {uri} {found}");
        Failure::new("GenericHttpError", message)
            .data(json!({"method": method.as_str(), "uri": uri, "clientStatus": found}))
            .shown_status(StatusCode::BAD_REQUEST)
    }

    pub(crate) fn endpoint_uri_syntax(uri: &str, cause: &str) -> Failure {
        Failure::new("EndpointUriSyntax", format!("URI for [{uri}] has invalid syntax"))
            .data(json!({"destination": uri, "cause": cause}))
    }

    pub(crate) fn endpoint_uri_connection(uri: &str, cause: &str) -> Failure {
        Failure::new("EndpointUriConnection", format!("Could not access data at URI {uri}"))
            .data(json!({"destination": uri, "cause": cause}))
            .status(StatusCode::BAD_GATEWAY)
    }

    pub(crate) fn manager_not_found(id: &str) -> Failure {
        let message = format!("the custom manager: '{id}', is not installed for this package");
        Failure::new("CustomPackageManagerNotFound", message).data(json!({"managerId": id}))
    }

    pub(crate) fn manager_error(id: &str, status: StatusCode, content: &str) -> Failure {
        let status = status.as_u16();
        let message = format!(
            "Custom manager [{id}] returned error code [{status}] and response [{content}]"
        );
        Failure::new("CustomPackageManagerError", message)
            .data(json!({"managerId": id, "statusCode": status, "responseContent": content}))
    }
}

impl NameOrUri<'_> {
    fn json(&self) -> Value {
        let mut shown = Object::new();
        for (key, value) in [("name", self.name), ("uri", self.uri)] {
            if let Some(value) = value {
                shown.insert(key.to_owned(), value.into());
            }
        }
        Value::Object(shown)
    }
}

/// A text of some other service that is not JSON.
pub(crate) fn json_parsing(reason: &str, input: &str) -> Failure {
    Failure::new("JsonParsingError", "Unable to parse the string as a JSON value").data(json!({
        "underlyingType": "jawn.ParseException", "parsingErrorMessage": reason, "parsingInput": input,
    }))
}

/// JSON that does not hold what it should.
pub(crate) fn json_decoding(kind: &str, reason: &str, input: &str) -> Failure {
    Failure::new("JsonDecodingError", format!("Unable to decode the JSON value as a {kind}"))
        .data(json!({"typeName": kind, "decodingErrorMessage": reason, "decodeInput": input}))
}

/// Faults of packages, the first ones of many.
pub(crate) fn tell(faults: &[PackageFault]) -> String {
    let mut told: Vec<String> = faults.iter().take(TOLD).map(ToString::to_string).collect();
    if faults.len() > TOLD {
        told.push(format!("and {} more", faults.len() - TOLD));
    }
    told.join("; ")
}

impl From<LookupError> for Failure {
    fn from(error: LookupError) -> Failure {
        let message = error.to_string();
        match error {
            LookupError::PackageNotFound { name } => {
                Failure::new("PackageNotFound", message).data(json!({"packageName": name}))
            }
            LookupError::VersionNotFound { name, version } => {
                Failure::new("VersionNotFound", message)
                    .data(json!({"packageName": name, "packageVersion": version}))
            }
        }
    }
}

impl From<RenderError> for Failure {
    fn from(error: RenderError) -> Failure {
        let message = error.to_string();
        match error {
            RenderError::Schema(errors) => {
                Failure::new("JsonSchemaMismatch", message).data(json!({"errors": errors}))
            }
            RenderError::OptionsNotAllowed => Failure::new("OptionsNotAllowed", message),
            RenderError::NotJson { reason, text } => json_parsing(&reason, &text),
            RenderError::NotAnObject => Failure::new("MarathonTemplateMustBeJsonObject", message),
            RenderError::Labels { reason, text } => {
                json_decoding("scala.collection.immutable.Map", &reason, &text)
            }
            RenderError::UnusableSchema(_)
            | RenderError::Template(_)
            | RenderError::Rendering(_) => Failure::unhandled(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_and_statuses_are_those_of_the_original() {
        let failure = Failure::marathon_generic(StatusCode::IM_A_TEAPOT);
        assert_eq!(
            Value::Object(failure.body()),
            json!({
                "type": "MarathonGenericError",
                "message": "Received response status code 418 from Marathon",
                "data": {"marathonStatus": 418, "status": 500},
            })
        );
        assert_eq!(failure.status, 500);
        assert_eq!(
            Failure::repository_index(9, 0).message,
            "Index (9) is out of range. Index value can be at most 0"
        );
        let both = NameOrUri { name: Some("n"), uri: Some("http://u") };
        assert_eq!(
            Failure::repository_not_present(both).message,
            "Neither repository name [n] nor URI [http://u] are present in the list"
        );
    }

    #[test]
    fn one_error_stands_alone_and_several_together() {
        let (a, b) = (Failure::not_present("body"), Failure::not_valid("header 'Accept'", "x"));
        assert_eq!(Failure::several(vec![a.clone()]), a);
        let both = Failure::several(vec![a, b]);
        assert_eq!(both.kind, "multiple_errors");
        assert_eq!(
            Value::Object(both.data.unwrap())["errors"],
            json!([
                {"type": "not_present", "message": "Item body not present but required"},
                {"type": "not_valid", "message": "Item header 'Accept' deemed invalid by rule: x"},
            ])
        );
    }
}
