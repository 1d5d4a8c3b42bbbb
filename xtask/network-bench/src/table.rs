//! The tables a run prints: one line a figure, one column a server, ours first and beside the best
//! of the others.

/// Which of two figures is better.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

/// One figure of every server.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) better: Better,
    /// In the order of the servers; NaN where it was not measured.
    pub(crate) values: Vec<f64>,
    pub(crate) print: fn(f64) -> String,
}

/// One figure of ours alone, and what it is to be at most.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) at_most: Option<f64>,
    pub(crate) print: fn(f64) -> String,
}

// === impl Row ===

impl Row {
    fn line(&self) -> String {
        let value = (self.print)(self.value);
        let Some(target) = self.at_most else { return format!("  {:<34}{value:>14}", self.name) };
        let missed = if self.value <= target { "" } else { ", missed" };
        format!("  {:<34}{value:>14}   target {}{missed}", self.name, (self.print)(target))
    }
}

pub(crate) fn print_rows(scenario: &str, rows: &[Row]) {
    println!("{scenario}");
    for row in rows {
        println!("{}", row.line());
    }
}

pub(crate) fn title(names: &[&str]) {
    print!("{:<34}", "");
    for name in names {
        print!("{name:>12}");
    }
    println!("{:>12}", "ours/best");
}

/// A scenario: each figure of each server, and ours beside the best of the others.
pub(crate) fn print(scenario: &str, figures: &[Column]) {
    println!("{scenario}");
    for figure in figures {
        print!("  {:<32}", figure.name);
        for &value in &figure.values {
            print!("{:>12}", if value.is_nan() { "-".to_owned() } else { (figure.print)(value) });
        }
        println!("{:>12}", ratio(figure));
    }
}

fn ratio(figure: &Column) -> String {
    let Some((own, others)) = figure.values.split_first() else { return String::new() };
    let others = others.iter().copied().filter(|value| !value.is_nan());
    let best = match figure.better {
        Better::More => others.fold(f64::NAN, f64::max),
        Better::Less => others.fold(f64::NAN, f64::min),
    };
    match own / best {
        ratio if ratio.is_finite() => format!("{ratio:.2}x"),
        _ => "-".to_owned(),
    }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The `share` (0..=1) smallest are below it.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// Seconds, in whatever unit reads best.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.2} µs", s * 1e6),
    }
}

pub(crate) fn whole(number: f64) -> String {
    format!("{number:.0}")
}

pub(crate) fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

pub(crate) fn bytes(bytes: f64) -> String {
    format!("{bytes:.0} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_stands_beside_the_best() {
        let column = |better, values: &[f64]| {
            ratio(&Column { name: "x", better, values: values.to_vec(), print: whole })
        };
        assert_eq!(column(Better::More, &[3.0, 1.0, 2.0, f64::NAN]), "1.50x");
        assert_eq!(column(Better::Less, &[3.0, 1.0, 2.0]), "3.00x");
        assert_eq!(column(Better::Less, &[3.0, f64::NAN]), "-");
        let row = Row { name: "x", value: 2.0, at_most: Some(1.0), print: whole };
        assert!(row.line().ends_with("target 1, missed"));
    }
}
