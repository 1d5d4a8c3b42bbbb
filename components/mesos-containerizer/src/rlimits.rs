//! `RLimitInfo` in the kernel's numbers.

use mesos_messages::v1::{RLimitInfo, r_limit_info::r_limit::Type};

use crate::{error::LaunchError, plan::RLimit};

/// Both soft and hard limit, or neither (infinity), as the original wants it.
pub(crate) fn resolve(info: &RLimitInfo) -> Result<Vec<RLimit>, LaunchError> {
    info.rlimits
        .iter()
        .map(|limit| {
            let kind = limit.r#type.and_then(|kind| Type::try_from(kind).ok());
            let (name, resource) = kind
                .and_then(number)
                .ok_or_else(|| LaunchError::RLimit("the type is missing or unknown".to_owned()))?;
            match (limit.soft, limit.hard) {
                (Some(soft), Some(hard)) if soft > hard => Err(LaunchError::RLimit(format!(
                    "{name}: the soft limit {soft} exceeds the hard limit {hard}"
                ))),
                (Some(_), None) | (None, Some(_)) => Err(LaunchError::RLimit(format!(
                    "{name}: soft and hard limit must be set both, or neither for no limit"
                ))),
                (soft, hard) => Ok(RLimit { resource, soft, hard }),
            }
        })
        .collect()
}

fn number(kind: Type) -> Option<(&'static str, u32)> {
    Some(match kind {
        Type::Unknown => return None,
        Type::RlmtAs => ("RLMT_AS", libc::RLIMIT_AS),
        Type::RlmtCore => ("RLMT_CORE", libc::RLIMIT_CORE),
        Type::RlmtCpu => ("RLMT_CPU", libc::RLIMIT_CPU),
        Type::RlmtData => ("RLMT_DATA", libc::RLIMIT_DATA),
        Type::RlmtFsize => ("RLMT_FSIZE", libc::RLIMIT_FSIZE),
        Type::RlmtLocks => ("RLMT_LOCKS", libc::RLIMIT_LOCKS),
        Type::RlmtMemlock => ("RLMT_MEMLOCK", libc::RLIMIT_MEMLOCK),
        Type::RlmtMsgqueue => ("RLMT_MSGQUEUE", libc::RLIMIT_MSGQUEUE),
        Type::RlmtNice => ("RLMT_NICE", libc::RLIMIT_NICE),
        Type::RlmtNofile => ("RLMT_NOFILE", libc::RLIMIT_NOFILE),
        Type::RlmtNproc => ("RLMT_NPROC", libc::RLIMIT_NPROC),
        Type::RlmtRss => ("RLMT_RSS", libc::RLIMIT_RSS),
        Type::RlmtRtprio => ("RLMT_RTPRIO", libc::RLIMIT_RTPRIO),
        Type::RlmtRttime => ("RLMT_RTTIME", libc::RLIMIT_RTTIME),
        Type::RlmtSigpending => ("RLMT_SIGPENDING", libc::RLIMIT_SIGPENDING),
        Type::RlmtStack => ("RLMT_STACK", libc::RLIMIT_STACK),
    })
}

#[cfg(test)]
mod tests {
    use mesos_messages::v1::r_limit_info::RLimit as Wire;

    use super::*;

    fn one(kind: Option<Type>, soft: Option<u64>, hard: Option<u64>) -> RLimitInfo {
        let limit = Wire { r#type: kind.map(|kind| kind as i32), soft, hard };
        RLimitInfo { rlimits: vec![limit] }
    }

    #[test]
    fn both_or_neither() {
        let nofile = Some(Type::RlmtNofile);
        let resolved = resolve(&one(nofile, Some(5), Some(9))).unwrap();
        let expected = RLimit { resource: libc::RLIMIT_NOFILE, soft: Some(5), hard: Some(9) };
        assert_eq!(resolved, [expected]);
        assert!(resolve(&one(nofile, None, None)).is_ok());
        for wrong in [
            one(nofile, Some(5), None),
            one(nofile, None, Some(5)),
            one(nofile, Some(9), Some(5)),
            one(None, None, None),
            one(Some(Type::Unknown), None, None),
        ] {
            assert!(resolve(&wrong).is_err(), "{wrong:?}");
        }
    }
}
