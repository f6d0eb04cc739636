//! SVG: boxes in layers, coloured by provider and service, with soft arrows; light and dark after the reader's taste.

use std::fmt::Write as _;

use super::layout::{Layout, Spacing, layout};
use super::{Graph, Kind, Node, escape};
use crate::ui::shorten;

const SPACING: Spacing = Spacing { height: 46.0, between_rows: 20.0, between_layers: 78.0 };
const MARGIN: f64 = 28.0;
const TITLE: f64 = 46.0;
/// Widths of characters of the two lines, in pixels; fonts differ, so that there is room to spare.
const NAME_CHAR: f64 = 8.4;
const TYPE_CHAR: f64 = 6.6;
const LONGEST: usize = 34;

/// How pictures look. Colours are variables, so that the page of its own can have them too.
pub(super) const STYLE: &str = "\
svg{--paper:#fbfcfe;--ink:#1c2430;--soft:#5c6b80;--line:#a9b5c6;--box:#ffffff;--edge:#dbe2ec;\
font-family:ui-sans-serif,system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}\
@media(prefers-color-scheme:dark){svg{--paper:#12161d;--ink:#e8edf5;--soft:#93a1b5;--line:#4a5669;--box:#1b212b;--edge:#313b4a}}\
.paper{fill:var(--paper)}.title{font-size:17px;font-weight:650;fill:var(--ink)}.sub{font-size:12px;fill:var(--soft)}\
.node .box{fill:var(--box);stroke:var(--edge);stroke-width:1}.node .bar{stroke:none}\
.node .type{font-size:10.5px;fill:var(--soft)}.node .name{font-size:13px;font-weight:600;fill:var(--ink)}\
.node .in{font-weight:400;fill:var(--soft)}\
.node .note{font-size:9.5px;fill:var(--soft);text-anchor:end}\
.output .box{fill:none;stroke:var(--line);stroke-dasharray:4 3}\
.edge{fill:none;stroke:var(--line);stroke-width:1.4}.tip{fill:var(--line)}";

/// Colours of services and their services, by the order in which they appear.
const COLORS: [&str; 8] = ["#3b82f6", "#f59e0b", "#10b981", "#8b5cf6", "#ef4444", "#06b6d4", "#ec4899", "#84cc16"];

/// Type, component and name. Of a long path the end says most.
fn label(node: &Node) -> (String, String, String) {
    let type_name = shorten(&node.type_name, LONGEST).into_owned();
    let slash = if node.kind == Kind::Resource { node.name.rfind('/').map_or(0, |at| at + 1) } else { 0 };
    let (path, name) = node.name.split_at(slash);
    let name = shorten(name, LONGEST).into_owned();
    let room = LONGEST.saturating_sub(name.chars().count());
    let length = path.chars().count();
    let path = match length <= room {
        true => path.to_owned(),
        // What is left of it begins with a whole name.
        false => {
            let end =
                path.char_indices().nth(length - room.saturating_sub(2).min(length)).map_or("", |(at, _)| &path[at..]);
            end.split_once('/').map_or_else(String::new, |(_, whole)| format!("…/{whole}"))
        }
    };
    (type_name, path, name)
}

fn box_width(node: &Node) -> f64 {
    let (type_name, path, name) = label(node);
    let note = node.note.map_or(0, |note| note.len() + 3) as f64 * 5.4;
    let above = type_name.chars().count() as f64 * TYPE_CHAR + note;
    let below = (path.chars().count() + name.chars().count()) as f64 * NAME_CHAR;
    let below = if node.kind == Kind::Output { below + note } else { below };
    (above.max(below) + 30.0).clamp(96.0, 320.0).ceil()
}

/// The picture with its own size.
pub(super) fn document(graph: &Graph) -> String {
    let (body, width, height) = body(graph);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n{}{body}</svg>\n",
        escape(&graph.title),
        heading(graph),
    )
}

fn heading(graph: &Graph) -> String {
    format!(
        "<text class=\"title\" x=\"{MARGIN}\" y=\"34\">{}</text>\n<text class=\"sub\" x=\"{MARGIN}\" y=\"52\">{}</text>\n",
        escape(&graph.title),
        escape(&description(graph)),
    )
}

/// How much there is to see.
pub(super) fn description(graph: &Graph) -> String {
    let resources = graph.nodes.iter().filter(|node| node.kind == Kind::Resource).count();
    let outputs = graph.nodes.len() - resources;
    let mut text = crate::ui::count(resources, "resource");
    if outputs > 0 {
        text = format!("{text}, {}", crate::ui::count(outputs, "output"));
    }
    format!("{text}; arrows go from what is made first to what uses it")
}

/// Everything but the frame, with the size that it takes.
pub(super) fn body(graph: &Graph) -> (String, f64, f64) {
    let widths: Vec<f64> = graph.nodes.iter().map(box_width).collect();
    let edges: Vec<(usize, usize)> = graph.edges.iter().map(|edge| (edge.from, edge.to)).collect();
    let layout = layout(&widths, &edges, SPACING);
    let mut services: Vec<&str> = Vec::new();
    for node in &graph.nodes {
        if node.kind == Kind::Resource && !services.contains(&node.service()) {
            services.push(node.service());
        }
    }
    let mut out = format!("<g transform=\"translate({MARGIN} {:.0})\">\n", MARGIN + TITLE);
    draw_edges(graph, &layout, &mut out);
    for (index, node) in graph.nodes.iter().enumerate() {
        let color = services.iter().position(|name| *name == node.service()).unwrap_or_default();
        draw_node(index, node, layout.at[index], widths[index], COLORS[color % COLORS.len()], &mut out);
    }
    out.push_str("</g>\n");
    let heading = (description(graph).chars().count() as f64 * 6.2).max(240.0);
    (out, layout.width.max(heading) + 2.0 * MARGIN, layout.height + 2.0 * MARGIN + TITLE)
}

fn draw_edges(graph: &Graph, layout: &Layout, out: &mut String) {
    for (edge, route) in graph.edges.iter().zip(&layout.routes) {
        let [(x, y), rest @ ..] = route.as_slice() else { continue };
        let mut path = format!("M{x:.1} {y:.1}");
        let (mut x, mut y) = (*x, *y);
        let last = rest.len().saturating_sub(1);
        for (at, (to_x, to_y)) in rest.iter().enumerate() {
            // The arrow's tip takes the last pixels.
            let end = if at == last { to_x - 6.0 } else { *to_x };
            if (to_y - y).abs() < 0.5 || at % 2 == 1 && at != last {
                let _ = write!(path, "L{end:.1} {to_y:.1}");
            } else {
                let bend = ((end - x) / 2.0).max(18.0);
                let _ = write!(path, "C{:.1} {y:.1} {:.1} {to_y:.1} {end:.1} {to_y:.1}", x + bend, end - bend);
            }
            (x, y) = (*to_x, *to_y);
        }
        let via = match (graph.nodes.get(edge.from), graph.nodes.get(edge.to)) {
            (Some(from), Some(to)) if edge.via.is_empty() => format!("{} → {}", from.name, to.name),
            (Some(from), Some(to)) => format!("{} → {} ({})", from.name, to.name, edge.via.join(", ")),
            _ => String::new(),
        };
        let _ = writeln!(
            out,
            "<g class=\"link\" data-from=\"{}\" data-to=\"{}\"><title>{}</title><path class=\"edge\" d=\"{path}\"/><path class=\"tip\" d=\"M{x:.1} {y:.1}l-7 -3.6v7.2z\"/></g>",
            edge.from,
            edge.to,
            escape(&via),
        );
    }
}

fn draw_node(index: usize, node: &Node, at: (f64, f64), width: f64, color: &str, out: &mut String) {
    let (x, middle) = at;
    let y = middle - SPACING.height / 2.0;
    let (type_name, path, name) = label(node);
    let path = if path.is_empty() { path } else { format!("<tspan class=\"in\">{}</tspan>", escape(&path)) };
    let mut title =
        if node.type_name.is_empty() { node.name.clone() } else { format!("{}::{}", node.type_name, node.name) };
    if let Some(id) = &node.id {
        let _ = write!(title, " ({id})");
    }
    let class = if node.kind == Kind::Output { "node output" } else { "node" };
    let _ = write!(
        out,
        "<g class=\"{class}\" data-id=\"{index}\" transform=\"translate({x:.1} {y:.1})\"><title>{}</title>",
        escape(&title)
    );
    let height = SPACING.height;
    match node.kind {
        Kind::Resource => {
            let _ = write!(
                out,
                "<rect class=\"box\" width=\"{width:.0}\" height=\"{height}\" rx=\"8\"/><rect class=\"bar\" fill=\"{color}\" x=\"9\" y=\"10\" width=\"4\" height=\"{:.0}\" rx=\"2\"/><text class=\"type\" x=\"20\" y=\"18\">{}</text><text class=\"name\" x=\"20\" y=\"35\">{path}{}</text>",
                height - 20.0,
                escape(&type_name),
                escape(&name)
            );
            if let Some(note) = node.note {
                let _ = write!(out, "<text class=\"note\" x=\"{:.0}\" y=\"18\">{note}</text>", width - 10.0);
            }
        }
        Kind::Output => {
            let _ = write!(
                out,
                "<rect class=\"box\" y=\"7\" width=\"{width:.0}\" height=\"{:.0}\" rx=\"16\"/><text class=\"name\" x=\"16\" y=\"27.5\">{}</text>",
                height - 14.0,
                escape(&name)
            );
            if let Some(note) = node.note {
                let _ = write!(out, "<text class=\"note\" x=\"{:.0}\" y=\"27\">{note}</text>", width - 14.0);
            }
        }
    }
    out.push_str("</g>\n");
}
