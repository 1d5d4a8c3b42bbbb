//! The tables a run prints: one line a figure, one column a proxy, each beside the best other.

/// Which of two figures is better.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

/// One figure of every proxy.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) better: Better,
    /// In the order of the proxies; NaN where it was not measured.
    pub(crate) values: Vec<f64>,
    pub(crate) print: fn(f64) -> String,
}

/// One figure of the gateway alone, and what it is to be.
pub(crate) struct Row {
    name: &'static str,
    value: f64,
    target: Option<Target>,
    print: fn(f64) -> String,
}

enum Target {
    AtLeast(f64),
    AtMost(f64),
}

// === impl Row ===

impl Row {
    pub(crate) fn new(name: &'static str, value: f64, print: fn(f64) -> String) -> Row {
        Row { name, value, target: None, print }
    }

    pub(crate) fn at_least(
        name: &'static str,
        value: f64,
        target: f64,
        print: fn(f64) -> String,
    ) -> Row {
        Row { target: Some(Target::AtLeast(target)), ..Row::new(name, value, print) }
    }

    pub(crate) fn at_most(
        name: &'static str,
        value: f64,
        target: f64,
        print: fn(f64) -> String,
    ) -> Row {
        Row { target: Some(Target::AtMost(target)), ..Row::new(name, value, print) }
    }

    fn line(&self) -> String {
        let (target, is_met) = match self.target {
            None => return format!("  {:<34}{:>14}", self.name, (self.print)(self.value)),
            Some(Target::AtLeast(target)) => (target, self.value >= target),
            Some(Target::AtMost(target)) => (target, self.value <= target),
        };
        let missed = if is_met { "" } else { ", missed" };
        let target = format!("target {}{missed}", (self.print)(target));
        format!("  {:<34}{:>14}   {target}", self.name, (self.print)(self.value))
    }
}

pub(crate) fn print_rows(scenario: &str, rows: &[Row]) {
    println!("{scenario}");
    for row in rows {
        println!("{}", row.line());
    }
}

/// How many of the proxies are the gateway's own: those come first.
pub(crate) const OWN: usize = 2;

pub(crate) fn title(names: &[&str]) {
    print!("{:<34}", "");
    for name in names {
        print!("{name:>14}");
    }
    println!("{:>18}", "gateway/best");
}

/// A scenario: each figure of each proxy, and the gateway's beside the best of the others.
pub(crate) fn print(scenario: &str, figures: &[Column]) {
    println!("{scenario}");
    for figure in figures {
        print!("  {:<32}", figure.name);
        for &value in &figure.values {
            print!("{:>14}", if value.is_nan() { "-".to_owned() } else { (figure.print)(value) });
        }
        println!("{:>18}", ratio(figure));
    }
}

/// The gateway's without and with authorization, over the best of nginx, haproxy and caddy.
fn ratio(figure: &Column) -> String {
    let others = figure.values.get(OWN..OWN + 3).unwrap_or_default();
    let others = others.iter().copied().filter(|value| !value.is_nan());
    let best = match figure.better {
        Better::More => others.fold(f64::NAN, f64::max),
        Better::Less => others.fold(f64::NAN, f64::min),
    };
    let own = figure.values.get(..OWN).unwrap_or_default();
    let ratios: Vec<String> = own
        .iter()
        .map(|value| match value / best {
            ratio if ratio.is_finite() => format!("{ratio:.2}x"),
            _ => "-".to_owned(),
        })
        .collect();
    ratios.join(" ")
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
        s => format!("{:.1} µs", s * 1e6),
    }
}

pub(crate) fn thousands(number: f64) -> String {
    format!("{number:.0}")
}

pub(crate) fn kilobytes(bytes: f64) -> String {
    format!("{:.1} KB", bytes / 1e3)
}

pub(crate) fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

/// Of a share.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_when_a_target_is_missed() {
        let line = |row: Row| row.line().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(line(Row::new("x", 5.0, thousands)), "x 5");
        assert_eq!(line(Row::at_most("x", 0.0, 0.0, thousands)), "x 0 target 0");
        assert_eq!(line(Row::at_most("x", 1.0, 0.0, thousands)), "x 1 target 0, missed");
        assert_eq!(line(Row::at_least("x", 0.2, 0.1, percent)), "x 20.0 % target 10.0 %");
        assert_eq!(line(Row::at_least("x", f64::NAN, 1.0, thousands)), "x NaN target 1, missed");
    }
}
