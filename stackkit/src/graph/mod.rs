//! Drawings of a stack: resources, outputs and what uses what, as DOT, Mermaid, SVG or a page of its own.

mod html;
mod layout;
mod notation;
mod svg;

use std::collections::{BTreeMap, HashMap};

use crate::plan::{dependencies, protected};
use crate::read::Behind;
use crate::stack::Declarations;
use crate::state::model::{State, Status};
use crate::value::{Expr, Value};

/// A graph to be drawn. Arrows follow the flow of values: from what is made first to what uses it.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    title: String,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

/// A box.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    kind: Kind,
    /// The resource's type; empty for outputs.
    type_name: String,
    /// The resource's path, or the output's name.
    name: String,
    /// What stands out about it, such as that it is protected.
    note: Option<&'static str>,
    /// The provider's id, where one is known.
    id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Resource,
    Output,
}

/// An arrow.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edge {
    from: usize,
    to: usize,
    /// The fields of the user that refer to the used.
    via: Vec<&'static str>,
}

impl Node {
    /// Provider and service: what boxes are coloured by.
    fn service(&self) -> &str {
        self.type_name.rsplit_once(':').map_or("", |(service, _)| service)
    }
}

impl Graph {
    /// What a program declares.
    pub fn of_declarations(declared: &Declarations, title: &str) -> Self {
        let mut graph = Self { title: title.to_owned(), ..Self::default() };
        for resource in &declared.resources {
            graph.nodes.push(Node {
                kind: Kind::Resource,
                type_name: resource.urn.type_name().to_owned(),
                name: resource.urn.path().to_owned(),
                note: protected(resource).then_some("protected"),
                id: None,
            });
        }
        // Circles and unknown names are what `preview` reports; a drawing shows what there is.
        let all = dependencies(declared, &mut Vec::new());
        let behind = Behind::of(declared);
        for (user, used) in all.iter().enumerate() {
            let mut via: BTreeMap<u32, Vec<&'static str>> = BTreeMap::new();
            if let Some(resource) = declared.resources.get(user) {
                for (field, value) in resource.schema.fields.iter().zip(&resource.values) {
                    behind.resources(value, &mut |to| {
                        let fields = via.entry(to).or_default();
                        if fields.last() != Some(&field.name) {
                            fields.push(field.name);
                        }
                    });
                }
            }
            for from in used {
                graph.edges.push(Edge { from: *from as usize, to: user, via: via.remove(from).unwrap_or_default() });
            }
        }
        for output in &declared.outputs {
            let to = graph.output(&output.name, is_secret(&output.value, declared));
            let mut used = Vec::new();
            behind.resources(&output.value, &mut |from| used.push(from as usize));
            used.sort_unstable();
            used.dedup();
            graph.edges.extend(used.into_iter().map(|from| Edge { from, to, via: Vec::new() }));
        }
        graph
    }

    /// What a state has recorded.
    pub fn of_state(state: &State, title: &str) -> Self {
        let mut graph = Self { title: title.to_owned(), ..Self::default() };
        let mut records: Vec<_> = state.resources.values().collect();
        records.sort_by(|a, b| (&a.urn, a.instance).cmp(&(&b.urn, b.instance)));
        let index: HashMap<_, _> = records.iter().enumerate().map(|(at, record)| (record.instance, at)).collect();
        for (to, record) in records.iter().enumerate() {
            graph.nodes.push(Node {
                kind: Kind::Resource,
                type_name: record.urn.type_name().to_owned(),
                name: record.urn.path().to_owned(),
                note: match record.status {
                    Status::Live => record.options.protect.then_some("protected"),
                    Status::Incomplete => Some("incomplete"),
                    Status::PendingDelete => Some("to be deleted"),
                    Status::PendingReplacement => Some("to be replaced"),
                },
                id: Some(record.id.clone()).filter(|id| !id.is_empty()),
            });
            let used = record.dependencies.iter().filter_map(|used| index.get(used));
            graph.edges.extend(used.map(|from| Edge { from: *from, to, via: Vec::new() }));
        }
        for (name, value) in &state.outputs {
            graph.output(name, value.has_secret());
        }
        graph
    }

    fn output(&mut self, name: &str, secret: bool) -> usize {
        self.nodes.push(Node {
            kind: Kind::Output,
            type_name: String::new(),
            name: name.to_owned(),
            note: secret.then_some("secret"),
            id: None,
        });
        self.nodes.len() - 1
    }

    /// For Graphviz.
    pub fn to_dot(&self) -> String {
        notation::dot(self)
    }

    /// For Mermaid.
    pub fn to_mermaid(&self) -> String {
        notation::mermaid(self)
    }

    /// A picture that stands for itself.
    pub fn to_svg(&self) -> String {
        svg::document(self)
    }

    /// A page that stands for itself: pan, zoom, search, and light up what a resource needs and what needs it.
    pub fn to_html(&self) -> String {
        html::page(self)
    }
}

/// Whether a value is or becomes secret, as far as types say.
fn is_secret(value: &Value, declared: &Declarations) -> bool {
    match value {
        Value::Expr(Expr::Attr { resource, field }) => declared
            .resources
            .get(*resource as usize)
            .and_then(|resource| resource.schema.fields.get(*field as usize))
            .is_some_and(|field| field.ty.secret),
        Value::List(items) => items.iter().any(|item| is_secret(item, declared)),
        Value::Map(map) => map.values().any(|item| is_secret(item, declared)),
        other => other.has_secret(),
    }
}

/// Text within XML and HTML, control characters made visible.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in crate::ui::clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
