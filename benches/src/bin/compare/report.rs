//! What comes of the runs: a table of every run, medians, pictures, and the page that tells of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use crate::measure::Used;
use crate::plot::{Panel, Picture};
use crate::tools::{Phase, Size, Tool};

/// The runs of one phase of one tool at one size, or why there are none.
pub type Cell = Result<Vec<Used>, String>;

/// Everything that was measured.
pub struct Report {
    /// The tools, in their order.
    pub tools: Vec<Tool>,
    /// The sizes, in their order.
    pub sizes: Vec<Size>,
    /// By tool and size (both by index), and phase.
    pub cells: BTreeMap<(usize, usize, Phase), Cell>,
    /// What was measured of a stack of one resource with nothing changed, by tool: start, keys, end.
    pub least: BTreeMap<usize, Vec<Used>>,
    /// The command line.
    pub command: String,
}

/// The middle one, the least and the most.
fn middle(runs: &[Used], of: impl Fn(&Used) -> f64) -> Option<(f64, f64, f64)> {
    let mut all: Vec<f64> = runs.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    let (first, last) = (*all.first()?, *all.last()?);
    let half = all.len() / 2;
    let median = if all.len().is_multiple_of(2) { f64::midpoint(all[half - 1], all[half]) } else { all[half] };
    Some((median, first, last))
}

fn seconds(value: f64) -> String {
    match value {
        value if value < 0.0995 => format!("{value:.3}"),
        value if value < 9.95 => format!("{value:.2}"),
        value if value < 99.5 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

fn bytes(value: f64) -> String {
    match value {
        value if value < 1e3 => format!("{value:.0} B"),
        value if value < 1e6 => format!("{:.0} kB", value / 1e3),
        value if value < 1e9 => format!("{:.1} MB", value / 1e6),
        value => format!("{:.1} GB", value / 1e9),
    }
}

/// A line of the table of runs.
struct Row {
    words: [String; 3],
    size: Size,
    phase: Phase,
    run: Result<Used, String>,
}

impl Row {
    fn tool(&self) -> (&str, &str, &str) {
        let [name, version, sealed] = &self.words;
        (name, version, sealed)
    }

    fn read(line: &str) -> Option<Self> {
        let mut quoted = false;
        let mut fields = line
            .split(|c| {
                quoted ^= c == '"';
                c == ',' && !quoted
            })
            .map(|field| field.trim_matches('"'));
        let mut next = || fields.next();
        let words = [next()?.to_owned(), next()?.to_owned(), next()?.to_owned()];
        let size = Size::parse(next()?)?;
        let title = next()?;
        let phase = Phase::ALL.into_iter().find(|phase| phase.title() == title)?;
        let run = match next()? {
            // Its five figures are empty.
            "0" => Err(fields.nth(5)?.to_owned()),
            _ => Ok(Used {
                wall_s: next()?.parse().ok()?,
                user_s: next()?.parse().ok()?,
                system_s: next()?.parse().ok()?,
                peak_kib: next()?.parse().ok()?,
                written: next()?.parse().ok()?,
                status: 0,
            }),
        };
        Some(Self { words, size, phase, run })
    }
}

const METHOD: &str = include_str!("method.md");

impl Report {
    fn cell(&self, tool: usize, size: usize, phase: Phase) -> Option<&Cell> {
        self.cells.get(&(tool, size, phase))
    }

    fn median(&self, tool: usize, size: usize, phase: Phase, of: impl Fn(&Used) -> f64) -> Option<f64> {
        middle(self.cell(tool, size, phase)?.as_ref().ok()?, of).map(|(median, ..)| median)
    }

    /// Writes all of it: `benchmarks.md` beside the folder `benchmarks`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, docs: &Path) -> std::io::Result<()> {
        let folder = docs.join("benchmarks");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("runs.csv"), self.csv())?;
        std::fs::write(folder.join("medians.json"), serde_json::to_string_pretty(&self.json())? + "\n")?;
        let cpu = self.picture("CPU seconds, all processes, from cold start to exit", |used| used.cpu_s(), seconds);
        std::fs::write(folder.join("cpu.svg"), cpu)?;
        let memory = self.picture("Peak memory of the largest process", |used| used.peak_kib as f64 * 1024.0, bytes);
        std::fs::write(folder.join("memory.svg"), memory)?;
        let written = self.picture("Bytes written to disk", |used| (used.written as f64).max(1.0), bytes);
        std::fs::write(folder.join("written.svg"), written)?;
        std::fs::write(docs.join("benchmarks.md"), self.page())
    }

    /// Takes over what an earlier run left of sizes that this one does not measure, of the same tools. Those sizes come first.
    ///
    /// # Errors
    /// When there is nothing, or it is not what this writes.
    pub fn add_earlier(&mut self, docs: &Path) -> Result<(), String> {
        let path = docs.join("benchmarks/runs.csv");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut sizes: Vec<Size> = Vec::new();
        let mut earlier = Vec::new();
        for (number, line) in text.lines().enumerate().skip(1) {
            let row = Row::read(line).ok_or_else(|| format!("{}, line {}: not a run", path.display(), number + 1))?;
            if self.sizes.contains(&row.size) {
                continue;
            }
            if !sizes.contains(&row.size) {
                sizes.push(row.size);
            }
            earlier.push(row);
        }
        let before = sizes.len();
        sizes.append(&mut self.sizes);
        self.sizes = sizes;
        self.cells = std::mem::take(&mut self.cells)
            .into_iter()
            .map(|((tool, size, phase), cell)| ((tool, size + before, phase), cell))
            .collect();
        for row in earlier {
            let same = |tool: &Tool| (tool.name, tool.version.as_str(), tool.sealed) == row.tool();
            let (Some(tool), Some(size)) =
                (self.tools.iter().position(same), self.sizes.iter().position(|size| *size == row.size))
            else {
                continue;
            };
            match (self.cells.entry((tool, size, row.phase)).or_insert_with(|| Ok(Vec::new())), row.run) {
                (Ok(runs), Ok(used)) => runs.push(used),
                (cell, Err(why)) => *cell = Err(why),
                (Err(_), Ok(_)) => {}
            }
        }
        Ok(())
    }

    fn csv(&self) -> String {
        let mut text = String::from(
            "tool,version,state,shape_and_count,phase,run,wall_s,user_s,system_s,peak_kib,written_bytes,note\n",
        );
        for ((tool, size, phase), cell) in &self.cells {
            let (tool, size) = (&self.tools[*tool], self.sizes[*size]);
            let mut row = |run: usize, figures: String, note: &str| {
                let _ = writeln!(
                    text,
                    "{},{},\"{}\",{},\"{}\",{run},{figures},\"{}\"",
                    tool.name,
                    tool.version,
                    tool.sealed,
                    size.name(),
                    phase.title(),
                    note.replace('"', "'").replace('\n', " ")
                );
            };
            match cell {
                Ok(runs) => runs.iter().enumerate().for_each(|(index, used)| {
                    let figures = format!(
                        "{:.4},{:.4},{:.4},{},{}",
                        used.wall_s, used.user_s, used.system_s, used.peak_kib, used.written
                    );
                    row(index + 1, figures, "");
                }),
                Err(why) => row(0, ",,,,".into(), why),
            }
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        let cells: Vec<_> = self
            .cells
            .iter()
            .map(|((tool, size, phase), cell)| {
                let (tool, size) = (&self.tools[*tool], self.sizes[*size]);
                let of = |pick: fn(&Used) -> f64| {
                    let (median, least, most) = middle(cell.as_ref().ok()?, pick)?;
                    Some(json!({ "median": median, "least": least, "most": most }))
                };
                json!({
                    "tool": tool.name, "version": tool.version, "state": tool.sealed,
                    "size": size.name(), "phase": phase.title(),
                    "runs": cell.as_ref().map_or(0, Vec::len),
                    "cpu_s": of(Used::cpu_s), "wall_s": of(|used| used.wall_s),
                    "peak_bytes": of(|used| used.peak_kib as f64 * 1024.0),
                    "written_bytes": of(|used| used.written as f64),
                    "why_not": cell.as_ref().err(),
                })
            })
            .collect();
        json!({ "made": today(), "machine": machine(), "command": self.command, "cells": cells })
    }

    fn picture(&self, title: &str, of: fn(&Used) -> f64, label: fn(f64) -> String) -> String {
        let panel = |phase: Phase| Panel {
            title: phase.title().into(),
            groups: self.sizes.iter().map(|size| size.title()).collect(),
            values: (0..self.sizes.len())
                .map(|size| (0..self.tools.len()).map(|tool| self.median(tool, size, phase, of)).collect())
                .collect(),
        };
        let picture = Picture {
            title: title.into(),
            series: self.tools.iter().map(Tool::title).collect(),
            panels: Phase::ALL.into_iter().map(panel).collect(),
            label,
        };
        picture.svg()
    }

    fn page(&self) -> String {
        let versions: BTreeSet<String> =
            self.tools.iter().map(|tool| format!("{} {}", tool.name, tool.version)).collect();
        let versions: Vec<String> = versions.into_iter().collect();
        let mut page = METHOD
            .replace("{{DATE}}", &today())
            .replace("{{MACHINE}}", &machine())
            .replace("{{VERSIONS}}", &versions.join(", "))
            .replace("{{COMMAND}}", &self.command);
        page = page.replace("{{FACTORS}}", &self.factors());
        page = page.replace("{{KEYS}}", &self.keys());
        page = page.replace("{{TABLES}}", &self.tables());
        page
    }

    /// By how much the best of the others costs more, where the state is sealed with a key at hand.
    fn factors(&self) -> String {
        let Some(own) = self.tools.iter().position(|tool| tool.is_own() && !tool.derives_keys()) else {
            return String::new();
        };
        let mut text = String::from("| size |");
        Phase::ALL.iter().for_each(|phase| _ = write!(text, " {} |", phase.title()));
        text.push_str("\n|---|---|---|---|---|\n");
        for (at, size) in self.sizes.iter().enumerate() {
            let _ = write!(text, "| {} |", size.title());
            for phase in Phase::ALL {
                let others = (0..self.tools.len()).filter(|tool| !self.tools[*tool].is_own());
                let best = others
                    .filter_map(|tool| Some((self.median(tool, at, phase, Used::cpu_s)?, tool)))
                    .min_by(|a, b| a.0.total_cmp(&b.0));
                match (best, self.median(own, at, phase, Used::cpu_s)) {
                    (Some((best, tool)), Some(cpu)) if cpu > 0.0 => {
                        let factor = best / cpu;
                        let digits = usize::from(factor < 10.0);
                        let _ = write!(text, " {factor:.digits$} × ({}) |", self.tools[tool].name);
                    }
                    _ => text.push_str(" – |"),
                }
            }
            text.push('\n');
        }
        text
    }

    fn keys(&self) -> String {
        let mut text = String::from("| | CPU s | wall s | peak |\n|---|---|---|---|\n");
        for (tool, runs) in &self.least {
            let (Some(cpu), Some(wall), Some(peak)) = (
                middle(runs, Used::cpu_s),
                middle(runs, |used| used.wall_s),
                middle(runs, |used| used.peak_kib as f64 * 1024.0),
            ) else {
                continue;
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} |",
                self.tools[*tool].title(),
                seconds(cpu.0),
                seconds(wall.0),
                bytes(peak.0)
            );
        }
        text
    }

    fn tables(&self) -> String {
        let mut text = String::new();
        for (at, size) in self.sizes.iter().enumerate() {
            let _ = write!(
                text,
                "### {}\n\n| | step | CPU s (least–most) | wall s | peak memory | written | runs |\n|---|---|---|---|---|---|---|\n",
                size.title()
            );
            for (tool, named) in self.tools.iter().enumerate() {
                for phase in Phase::ALL {
                    let name = if phase == Phase::Create { named.title() } else { String::new() };
                    let row = match self.cell(tool, at, phase) {
                        None => continue,
                        Some(Err(why)) => {
                            let why = why.lines().next().unwrap_or_default().replace('|', "/");
                            format!("| {name} | {} | {why} | | | | |", phase.title())
                        }
                        Some(Ok(runs)) => {
                            let (Some(cpu), Some(wall)) = (middle(runs, Used::cpu_s), middle(runs, |used| used.wall_s))
                            else {
                                continue;
                            };
                            let peak = middle(runs, |used| used.peak_kib as f64 * 1024.0).map_or(0.0, |all| all.0);
                            let written = middle(runs, |used| used.written as f64).map_or(0.0, |all| all.0);
                            format!(
                                "| {name} | {} | {} ({}–{}) | {} | {} | {} | {} |",
                                phase.title(),
                                seconds(cpu.0),
                                seconds(cpu.1),
                                seconds(cpu.2),
                                seconds(wall.0),
                                bytes(peak),
                                bytes(written),
                                runs.len()
                            )
                        }
                    };
                    let _ = writeln!(text, "{row}");
                }
            }
            text.push('\n');
        }
        text
    }
}

/// The day, as the system's clock says.
fn today() -> String {
    let output = std::process::Command::new("date").arg("+%Y-%m-%d").output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (cpus, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("a processor", |rest| rest.trim_start_matches(|c: char| c == ':' || c.is_whitespace()));
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let memory: f64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores of {model}, {:.0} GB of memory, Linux {}", memory / 1e6, kernel.trim())
}
