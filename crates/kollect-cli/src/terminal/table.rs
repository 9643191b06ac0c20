//! Tables for people: as wide as their cells, and never wider than the terminal.
//!
//! Cells are cleaned here, before their width is measured.

use super::{Line, Paper, plain};
use std::io;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

const GAP: usize = 2;
/// A column gets no narrower than this.
const NARROWEST: usize = 8;
/// Without a terminal, cells may be longer than their column, so that one long value does not widen every line.
const WIDEST_UNSEEN: usize = 48;

/// Writes a table. With a `width`, cells are cut so that no line is longer.
pub fn write(out: &mut Paper<'_>, header: &[String], lines: &[Vec<String>], width: Option<usize>) -> io::Result<()> {
    let clean = |cells: &[String]| cells.iter().map(|cell| plain(cell)).collect::<Vec<_>>();
    let header: Vec<String> = clean(header).iter().map(|cell| cell.to_uppercase()).collect();
    let lines: Vec<Vec<String>> = lines.iter().map(|cells| clean(cells)).collect();
    let widths = widths(&header, &lines, width);
    let cut = width.is_some();
    let bold = out.line().bold(line(&header, &widths, cut));
    out.put(&bold)?;
    for cells in &lines {
        let text: Line = out.line().text(line(cells, &widths, cut));
        out.put(&text)?;
    }
    Ok(())
}

fn line(cells: &[String], widths: &[usize], cut: bool) -> String {
    let mut text = String::new();
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let shown = if cut { shorten(cell, *width) } else { cell.clone() };
        let padding = width.saturating_sub(shown.width()) + GAP;
        text.push_str(&shown);
        if at + 1 < cells.len() {
            text.extend(std::iter::repeat_n(' ', padding));
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn widths(header: &[String], lines: &[Vec<String>], width: Option<usize>) -> Vec<usize> {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.width()).collect();
    for cells in lines {
        for (widest, cell) in widths.iter_mut().zip(cells) {
            *widest = (*widest).max(cell.width());
        }
    }
    match width {
        None => widths.iter_mut().for_each(|widest| *widest = (*widest).min(WIDEST_UNSEEN)),
        Some(width) => shrink(&mut widths, width),
    }
    widths
}

/// Takes from the widest column until all fit.
fn shrink(widths: &mut [usize], width: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    let room = width.saturating_sub(gaps);
    while widths.iter().sum::<usize>() > room {
        let surplus = widths.iter().sum::<usize>() - room;
        let Some(at) = (0..widths.len()).max_by_key(|at| widths[*at]) else { return };
        let second = widths.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, w)| *w).max().unwrap_or(0);
        let widest = widths[at];
        if widest <= NARROWEST {
            return;
        }
        // As far as the next column, but at least one and no more than needed.
        let step = (widest - second.min(widest)).clamp(1, surplus);
        widths[at] = widest.saturating_sub(step).max(NARROWEST);
    }
}

fn shorten(cell: &str, width: usize) -> String {
    if cell.width() <= width {
        return cell.to_owned();
    }
    let mut used = 0;
    let mut short = String::new();
    for c in cell.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        short.push(c);
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Style;

    fn render(width: Option<usize>) -> String {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let lines = [row(["shop", "cart", "reg.example/team/cart:1.4.0"]), row(["a", "日本", "-"])];
        let mut out = Vec::new();
        let mut paper = Paper::new(&mut out, Style::PLAIN);
        write(&mut paper, &row(["namespace", "name", "image"]), &lines, width).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let wanted = "NAMESPACE  NAME  IMAGE\nshop       cart  reg.example/team/cart:1.4.0\na          日本  -\n";
        assert_eq!(render(None), wanted);
        assert_eq!(render(Some(200)), wanted);
    }

    #[test]
    fn long_values_are_cut_to_the_terminal() {
        let text = render(Some(30));
        assert_eq!(text, "NAMESPACE  NAME  IMAGE\nshop       cart  reg.example/…\na          日本  -\n");
        assert!(render(Some(5)).lines().all(|line| line.width() <= 9 + 2 + 8 + 2 + 8), "it stays readable");
    }
}
