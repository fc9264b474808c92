//! Aligned columns, two blanks apart, without blanks at the end of a line.

/// Rows under headings.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
    widths: Vec<usize>,
}

impl Table {
    pub(super) fn new<T: Into<String>>(headings: impl IntoIterator<Item = T>) -> Self {
        let headings: Vec<String> = headings.into_iter().map(Into::into).collect();
        let widths = headings.iter().map(|heading| width(heading)).collect();
        Self {
            headings,
            rows: Vec::new(),
            widths,
        }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        let cells: Vec<String> = cells.iter().map(|cell| clean(cell)).collect();
        for (known, cell) in self.widths.iter_mut().zip(&cells) {
            *known = (*known).max(width(cell));
        }
        self.rows.push(cells);
    }

    /// Keeps the columns as wide as they are.
    pub(super) fn forget_rows(&mut self) {
        self.rows.clear();
    }

    /// Headings and rows.
    pub(super) fn render(&self) -> String {
        let mut text = self.lay(&self.headings);
        for row in &self.rows {
            text.push('\n');
            text.push_str(&self.lay(row));
        }
        text
    }

    /// One more row in the same columns, for watching.
    pub(super) fn render_row(&mut self, cells: Vec<String>) -> String {
        self.row(cells);
        self.rows
            .pop()
            .map(|row| self.lay(&row))
            .unwrap_or_default()
    }

    fn lay(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (cell, wide) in cells.iter().zip(&self.widths) {
            line.push_str(cell);
            for _ in 0..wide.saturating_sub(width(cell)) + 2 {
                line.push(' ');
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// A cell is one line, and never empty, so that columns can be counted by scripts.
fn clean(text: &str) -> String {
    let line = super::failure::one_line(text);
    if line.is_empty() {
        "-".to_owned()
    } else {
        line
    }
}

/// At most `most` letters.
pub(super) fn shorten(text: &str, most: usize) -> String {
    let line = super::failure::one_line(text);
    if width(&line) <= most {
        return line;
    }
    line.chars()
        .take(most.saturating_sub(1))
        .chain(['…'])
        .collect()
}
