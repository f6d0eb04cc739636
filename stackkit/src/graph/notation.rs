//! DOT and Mermaid: graphs as text that other tools draw.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Graph, Kind, Node};
use crate::ui::clean;

/// Boxes by the component that they are in, as the paths of the resources say.
#[derive(Default)]
struct Group {
    nodes: Vec<usize>,
    groups: BTreeMap<String, Group>,
}

fn grouped(graph: &Graph) -> Group {
    let mut root = Group::default();
    for (index, node) in graph.nodes.iter().enumerate() {
        let mut group = &mut root;
        if node.kind == Kind::Resource {
            let mut segments: Vec<&str> = node.name.split('/').collect();
            segments.pop();
            for segment in segments {
                group = group.groups.entry(segment.to_owned()).or_default();
            }
        }
        group.nodes.push(index);
    }
    root
}

fn short(node: &Node) -> &str {
    match node.kind {
        Kind::Resource => node.name.rsplit('/').next().unwrap_or_default(),
        Kind::Output => &node.name,
    }
}

pub(super) fn dot(graph: &Graph) -> String {
    let mut out = format!(
        "digraph {} {{\n  rankdir=LR;\n  graph [style=rounded, color=\"#c3ccd9\", labeljust=l, fontcolor=\"#5c6b80\", fontname=\"sans-serif\", fontsize=11];\n  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"sans-serif\", fontsize=11];\n  edge [color=\"#8a94a6\", arrowsize=0.7];\n",
        quoted(&graph.title)
    );
    let mut clusters = 0;
    dot_group(graph, &grouped(graph), 1, &mut clusters, &mut out);
    for edge in &graph.edges {
        let label =
            if edge.via.is_empty() { String::new() } else { format!(" [tooltip={}]", quoted(&edge.via.join(", "))) };
        let _ = writeln!(out, "  n{} -> n{}{label};", edge.from, edge.to);
    }
    out.push_str("}\n");
    out
}

fn dot_group(graph: &Graph, group: &Group, depth: usize, clusters: &mut usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for index in &group.nodes {
        let node = &graph.nodes[*index];
        let note = node.note.map(|note| format!("\n({note})")).unwrap_or_default();
        let _ = match node.kind {
            Kind::Resource => {
                let label = quoted(&format!("{}\n{}{note}", clean(&node.type_name), clean(short(node))));
                writeln!(out, "{indent}n{index} [label={label}];")
            }
            Kind::Output => {
                let label = quoted(&format!("{}{note}", clean(short(node))));
                writeln!(out, "{indent}n{index} [label={label}, shape=ellipse, style=dashed];")
            }
        };
    }
    for (name, inner) in &group.groups {
        let _ = writeln!(out, "{indent}subgraph cluster_{clusters} {{\n{indent}  label={};", quoted(&clean(name)));
        *clusters += 1;
        dot_group(graph, inner, depth + 1, clusters, out);
        let _ = writeln!(out, "{indent}}}");
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

pub(super) fn mermaid(graph: &Graph) -> String {
    let mut out = String::from("flowchart LR\n");
    let mut groups = 0;
    mermaid_group(graph, &grouped(graph), 1, &mut groups, &mut out);
    for edge in &graph.edges {
        let _ = writeln!(out, "  n{} --> n{}", edge.from, edge.to);
    }
    out
}

fn mermaid_group(graph: &Graph, group: &Group, depth: usize, groups: &mut usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for index in &group.nodes {
        let node = &graph.nodes[*index];
        let note = node.note.map(|note| format!("<br/>({note})")).unwrap_or_default();
        let name = entities(short(node));
        let _ = match node.kind {
            Kind::Resource => {
                writeln!(out, "{indent}n{index}[\"{}<br/><b>{name}</b>{note}\"]", entities(&node.type_name))
            }
            Kind::Output => writeln!(out, "{indent}n{index}([\"{name}{note}\"])"),
        };
    }
    for (name, inner) in &group.groups {
        let _ = writeln!(out, "{indent}subgraph g{groups}[\"{}\"]", entities(name));
        *groups += 1;
        mermaid_group(graph, inner, depth + 1, groups, out);
        let _ = writeln!(out, "{indent}end");
    }
}

/// Mermaid takes its own entities within quotes; everything that could be markup becomes one.
fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '"' | '#' | '&' | '<' | '>' | '\\' | '`' | '|' | '[' | ']' | '{' | '}' | '(' | ')' | ';' => {
                let _ = write!(out, "#{};", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}
