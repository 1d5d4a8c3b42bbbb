//! Tables for people: aligned columns under a header.

use crate::terminal::{Colour, Style, printable};

/// What stands where there is nothing to say, as in the dcos CLI.
pub(crate) const NOTHING: &str = "---";

/// Rows of text; a cell may have several lines.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

// === impl Table ===

impl Table {
    pub(crate) fn new(header: impl IntoIterator<Item = impl Into<String>>) -> Table {
        Table { header: header.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// A row; cells that are missing at its end stay empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|cell| printable(&cell).into_owned());
        self.rows.push(cells.collect());
    }

    /// Orders the rows by their first cell.
    pub(crate) fn sort(&mut self) {
        self.rows.sort_by(|a, b| a.first().cmp(&b.first()));
    }

    pub(crate) fn render(&self, style: Style) -> String {
        let widths = self.widths();
        let right: Vec<bool> = (0..widths.len()).map(|column| self.is_numeric(column)).collect();
        let mut out = String::new();
        for (index, row) in std::iter::once(&self.header).chain(&self.rows).enumerate() {
            let height = row.iter().map(|cell| cell.lines().count()).max().unwrap_or(1).max(1);
            for number in 0..height {
                let mut line = String::new();
                for (column, width) in widths.iter().enumerate() {
                    let cell = row.get(column).map_or("", String::as_str);
                    let text = cell.lines().nth(number).unwrap_or("");
                    let space = " ".repeat(width.saturating_sub(text.chars().count()));
                    let flush_right = right.get(column).copied().unwrap_or(false);
                    let (before, after) =
                        if flush_right { (space.as_str(), "") } else { ("", space.as_str()) };
                    line.push_str("  ");
                    line.push_str(before);
                    line.push_str(text);
                    line.push_str(after);
                }
                let line = line.trim_end();
                let strong = index == 0;
                let line = if strong { style.paint(Colour::Strong, line) } else { line.to_owned() };
                out.push_str(&line);
                out.push('\n');
            }
        }
        out
    }

    fn widths(&self) -> Vec<usize> {
        let width = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        let mut widths: Vec<usize> = self.header.iter().map(|title| width(title)).collect();
        for row in &self.rows {
            for (known, cell) in widths.iter_mut().zip(row) {
                *known = (*known).max(width(cell));
            }
        }
        widths
    }

    /// Numbers stand under each other by their last digit.
    fn is_numeric(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().filter_map(|row| row.get(column)).peekable();
        cells.peek().is_some()
            && cells.all(|cell| !cell.is_empty() && cell.parse::<f64>().is_ok_and(f64::is_finite))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(table: &Table) -> String {
        table.render(Style::of(false))
    }

    #[test]
    fn columns_are_aligned_and_numbers_flush_right() {
        let mut table = Table::new(["ID", "COUNT", "SINCE"]);
        table.row(["/b", "10", "2019"].map(str::to_owned));
        table.row(["/a-long-one", "2", "---"].map(str::to_owned));
        table.sort();
        let expected = "  \
  ID           COUNT  SINCE
  /a-long-one      2  ---
  /b              10  2019
";
        assert_eq!(plain(&table), expected);
    }

    #[test]
    fn cells_may_have_several_lines() {
        let mut table = Table::new(["NAME", "APP", "X"]);
        table.row(["one", "/a\n/bcd", "y"].map(str::to_owned));
        assert_eq!(plain(&table), "  NAME  APP   X\n  one   /a    y\n        /bcd\n");
    }

    #[test]
    fn an_empty_table_is_its_header() {
        assert_eq!(plain(&Table::new(["A", "B"])), "  A  B\n");
        assert_eq!(Table::new(["A"]).render(Style::of(true)), "\x1b[1m  A\x1b[0m\n");
    }

    #[test]
    fn short_rows_and_control_characters_do_no_harm() {
        let mut table = Table::new(["A", "B"]);
        table.row(["\x1b[31mred".to_owned()]);
        assert_eq!(plain(&table), "  A         B\n  \u{fffd}[31mred\n");
    }
}
