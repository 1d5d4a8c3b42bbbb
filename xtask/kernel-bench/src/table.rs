//! The table a run prints: what was measured, the figure, the target.

/// One line.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) figure: String,
    pub(crate) target: &'static str,
    pub(crate) met: Option<bool>,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, figure: impl Into<String>) -> Self {
        Self { what: what.into(), figure: figure.into(), target: "", met: None }
    }

    pub(crate) fn target(mut self, target: &'static str, met: bool) -> Self {
        self.target = target;
        self.met = Some(met);
        self
    }
}

/// Prints a section with its rows aligned.
pub(crate) fn print(title: &str, rows: &[Row]) {
    println!("\n{title}");
    for row in rows {
        let verdict = match row.met {
            None => "",
            Some(true) => "met",
            Some(false) => "MISSED",
        };
        println!("  {:<58} {:>22}  {:<26} {verdict}", row.what, row.figure, row.target);
    }
}

/// The middle of the measurements.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
