//! `/version`: what this program is and when it was built.

use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

use crate::json::Object;

/// Facts about the build.
#[derive(Clone, Debug, PartialEq)]
pub struct BuildInfo {
    /// The version whose behaviour this is.
    pub version: String,
    /// `2026-11-20 18:06:02`, in UTC.
    pub date: String,
    /// The same in seconds since the epoch.
    pub time: f64,
    /// Commit, where the build was told.
    pub git_sha: Option<&'static str>,
    /// Branch, where the build was told.
    pub git_branch: Option<&'static str>,
}

impl BuildInfo {
    /// The running program under the given version.
    pub fn of_program(version: &str) -> BuildInfo {
        let time = program_time();
        BuildInfo {
            version: version.to_owned(),
            date: date_text(time),
            time: time as f64,
            git_sha: option_env!("DAIS_GIT_SHA"),
            git_branch: option_env!("DAIS_GIT_BRANCH"),
        }
    }

    /// The answer of `/version`.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(192);
        let mut object = Object::new(&mut out);
        object.string("build_date", &self.date);
        object.double("build_time", self.time);
        object.string("build_user", "");
        if let Some(branch) = self.git_branch {
            object.string("git_branch", branch);
        }
        if let Some(sha) = self.git_sha {
            object.string("git_sha", sha);
        }
        object.string("version", &self.version);
        object.end();
        out
    }

    /// The members that `/state` begins with.
    pub fn write_members(&self, object: &mut Object<'_>) {
        object.string("version", &self.version);
        if let Some(sha) = self.git_sha {
            object.string("git_sha", sha);
        }
        if let Some(branch) = self.git_branch {
            object.string("git_branch", branch);
        }
        object.string("build_date", &self.date);
        object.double("build_time", self.time);
        object.string("build_user", "");
    }
}

/// When the program's file was written: the nearest thing to the time of its
/// build that needs no build script.
fn program_time() -> i64 {
    static TIME: OnceLock<i64> = OnceLock::new();
    *TIME.get_or_init(|| {
        let modified = std::env::current_exe()
            .and_then(std::fs::metadata)
            .and_then(|metadata| metadata.modified());
        modified
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .and_then(|since| i64::try_from(since.as_secs()).ok())
            .unwrap_or(0)
    })
}

/// Seconds since the epoch as date and time of day in UTC.
fn date_text(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to civil date: years counted from March, so that a leap day is the last of its year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_civil() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_795_197_962, "2026-11-20 18:06:02"),
        ] {
            assert_eq!(date_text(seconds), expected);
        }
    }
}
