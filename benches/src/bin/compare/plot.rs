//! Bars on a logarithmic scale, as SVG that fits light and dark pages.

use std::fmt::Write as _;

/// One panel: groups of bars, the same series in each.
pub struct Panel {
    /// Its title.
    pub title: String,
    /// Names of the groups.
    pub groups: Vec<String>,
    /// For each group, one value a series; none where it was not measured.
    pub values: Vec<Vec<Option<f64>>>,
}

/// A picture of several panels.
pub struct Picture {
    /// Its title.
    pub title: String,
    /// Names of the series.
    pub series: Vec<String>,
    /// The panels, two in a row.
    pub panels: Vec<Panel>,
    /// How a value is written over its bar.
    pub label: fn(f64) -> String,
}

const COLOURS: [&str; 6] = ["#e8590c", "#f7a86b", "#7048e8", "#1c7ed6", "#74b4ee", "#868e96"];
const STYLE: &str = "svg{background:#fff}text{font:12px ui-sans-serif,system-ui,'Segoe UI',Roboto,Arial,sans-serif;fill:#1c2430}.h{font-size:17px;font-weight:600}.p{font-size:13px;font-weight:600}.m{fill:#5c6b80;font-size:11px}.v{font-size:9.5px}line{stroke:#dbe2ec}@media(prefers-color-scheme:dark){svg{background:#12161d}text{fill:#e8edf5}.m{fill:#93a1b5}line{stroke:#313b4a}}";
const WIDTH: f64 = 1000.0;
const PANEL: (f64, f64) = (480.0, 260.0);

impl Picture {
    /// The picture as a file.
    pub fn svg(&self) -> String {
        let rows = self.panels.len().div_ceil(2);
        let height = 86.0 + rows as f64 * (PANEL.1 + 14.0);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-label=\"{0}\">\n<style>{STYLE}</style>\n<text class=\"h\" x=\"20\" y=\"30\">{0}</text>\n",
            escape(&self.title)
        );
        let mut x = 20.0;
        for (index, name) in self.series.iter().enumerate() {
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"46\" width=\"12\" height=\"12\" rx=\"3\" fill=\"{}\"/><text x=\"{}\" y=\"56\">{}</text>",
                colour(index),
                x + 17.0,
                escape(name)
            );
            x += 34.0 + name.len() as f64 * 6.5;
        }
        let values = || self.panels.iter().flat_map(|panel| panel.values.iter().flatten().flatten().copied());
        let decade = |value: f64| value.max(f64::MIN_POSITIVE).log10();
        // All panels share a scale, so that they can be compared.
        let (low, high) = values().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low > high { (0.1, 1.0) } else { (low, high) };
        let (low, high) = (decade(low * 0.9).floor(), decade(high).ceil().max(decade(low).floor() + 1.0));
        for (index, panel) in self.panels.iter().enumerate() {
            let left = 20.0 + (index % 2) as f64 * (PANEL.0 + 10.0);
            let top = 76.0 + (index / 2) as f64 * (PANEL.1 + 14.0);
            self.panel(&mut svg, panel, (left, top), (low, high));
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn panel(&self, svg: &mut String, panel: &Panel, (left, top): (f64, f64), (low, high): (f64, f64)) {
        let (x0, y0, width, height) = (left + 46.0, top + 30.0, PANEL.0 - 56.0, PANEL.1 - 56.0);
        let y = |value: f64| y0 + height * (1.0 - (value.log10() - low) / (high - low));
        let _ = writeln!(svg, "<text class=\"p\" x=\"{x0}\" y=\"{}\">{}</text>", top + 14.0, escape(&panel.title));
        for power in low as i32..=high as i32 {
            let value = 10f64.powi(power);
            let (at, end) = (y(value), x0 + width);
            let _ = writeln!(
                svg,
                "<line x1=\"{x0}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"m\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                x0 - 6.0,
                at + 4.0,
                (self.label)(value)
            );
        }
        let group = width / panel.groups.len().max(1) as f64;
        let bar = (group - 12.0) / self.series.len().max(1) as f64;
        for (place, (name, values)) in panel.groups.iter().zip(&panel.values).enumerate() {
            let start = x0 + place as f64 * group + 6.0;
            for (series, value) in values.iter().enumerate() {
                let at = start + series as f64 * bar;
                let Some(value) = value else {
                    let _ = writeln!(
                        svg,
                        "<text class=\"m\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">–</text>",
                        at + bar / 2.0,
                        y0 + height - 3.0
                    );
                    continue;
                };
                let tip = y(*value).min(y0 + height - 1.0);
                let _ = writeln!(
                    svg,
                    "<rect x=\"{at:.1}\" y=\"{tip:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\" fill=\"{}\"><title>{}: {}</title></rect><text class=\"v\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                    bar - 2.0,
                    y0 + height - tip,
                    colour(series),
                    escape(self.series.get(series).map_or("", String::as_str)),
                    (self.label)(*value),
                    at + bar / 2.0 - 1.0,
                    tip - 3.0,
                    (self.label)(*value)
                );
            }
            let _ = writeln!(
                svg,
                "<text class=\"m\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x0 + (place as f64 + 0.5) * group,
                y0 + height + 16.0,
                escape(name)
            );
        }
    }
}

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
