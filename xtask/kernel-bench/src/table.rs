//! The table a run prints: what was measured, the figure, the target.

/// One line.
pub struct Row {
    pub what: String,
    pub figure: String,
    pub target: &'static str,
    pub met: Option<bool>,
}

impl Row {
    pub fn new(what: impl Into<String>, figure: impl Into<String>) -> Self {
        Self { what: what.into(), figure: figure.into(), target: "", met: None }
    }

    pub fn target(mut self, target: &'static str, met: bool) -> Self {
        self.target = target;
        self.met = Some(met);
        self
    }
}

/// Prints a section with its rows aligned.
pub fn print(title: &str, rows: &[Row]) {
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
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
