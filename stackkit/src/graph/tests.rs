use super::*;

fn node(kind: Kind, type_name: &str, name: &str, note: Option<&'static str>) -> Node {
    Node { kind, type_name: type_name.into(), name: name.into(), note, id: None }
}

fn graph() -> Graph {
    Graph {
        title: "dev".into(),
        nodes: vec![
            node(Kind::Resource, "aws:ec2:Vpc", "main", None),
            node(Kind::Resource, "aws:ec2:Subnet", "net/a", None),
            node(Kind::Resource, "aws:rds:Instance", "net/<b>\"x\u{1b}", Some("protected")),
            node(Kind::Output, "", "url", Some("secret")),
        ],
        edges: vec![
            Edge { from: 0, to: 1, via: vec!["vpc_id"] },
            Edge { from: 1, to: 2, via: Vec::new() },
            Edge { from: 2, to: 3, via: Vec::new() },
        ],
    }
}

#[test]
fn dot_is_grouped_and_quoted() {
    assert_eq!(
        graph().to_dot(),
        r##"digraph "dev" {
  rankdir=LR;
  graph [style=rounded, color="#c3ccd9", labeljust=l, fontcolor="#5c6b80", fontname="sans-serif", fontsize=11];
  node [shape=box, style="rounded,filled", fillcolor=white, fontname="sans-serif", fontsize=11];
  edge [color="#8a94a6", arrowsize=0.7];
  n0 [label="aws:ec2:Vpc\nmain"];
  n3 [label="url\n(secret)", shape=ellipse, style=dashed];
  subgraph cluster_0 {
    label="net";
    n1 [label="aws:ec2:Subnet\na"];
    n2 [label="aws:rds:Instance\n<b>\"x\\u{1b}\n(protected)"];
  }
  n0 -> n1 [tooltip="vpc_id"];
  n1 -> n2;
  n2 -> n3;
}
"##
    );
}

#[test]
fn mermaid_is_grouped_and_escaped() {
    assert_eq!(
        graph().to_mermaid(),
        r#"flowchart LR
  n0["aws:ec2:Vpc<br/><b>main</b>"]
  n3(["url<br/>(secret)"])
  subgraph g0["net"]
    n1["aws:ec2:Subnet<br/><b>a</b>"]
    n2["aws:rds:Instance<br/><b>#60;b#62;#34;x#92;u#123;1b#125;</b><br/>(protected)"]
  end
  n0 --> n1
  n1 --> n2
  n2 --> n3
"#
    );
}

#[test]
fn pictures_are_well_formed_and_name_everything() {
    for picture in [graph().to_svg(), graph().to_html()] {
        assert!(!picture.contains("<b>") && !picture.contains('\u{1b}'), "{picture}");
        for text in ["aws:ec2:Subnet", "net/a", "main → net/a (vpc_id)", "&lt;b&gt;", "protected", ">url<"] {
            assert!(picture.contains(text), "{text}");
        }
        assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
    }
    // The component stands before the name, and apart from it.
    assert!(graph().to_svg().contains("<tspan class=\"in\">net/</tspan>a</text>"));
    // Every element of the picture is closed.
    let svg = graph().to_svg();
    for element in ["g", "svg", "text", "tspan", "title", "style"] {
        let opened = svg.matches(&format!("<{element}>")).count() + svg.matches(&format!("<{element} ")).count();
        assert_eq!(opened, svg.matches(&format!("</{element}>")).count(), "{element}");
    }
    assert_eq!(svg.matches("class=\"link\"").count(), 3);
}

#[test]
fn an_empty_graph_is_a_picture_too() {
    let empty = Graph { title: "dev".into(), ..Graph::default() };
    assert!(empty.to_svg().contains("0 resources"));
    assert!(empty.to_html().contains("</html>"));
}

#[test]
fn the_values_of_outputs_are_never_drawn() {
    let mut state = State::default();
    let secret = Value::text("canary-9ZK").into_secret();
    state.outputs.insert("token".into(), secret);
    state.outputs.insert("plain".into(), Value::text("canary-9ZK"));
    let graph = Graph::of_state(&state, "dev");
    for drawing in [graph.to_dot(), graph.to_mermaid(), graph.to_svg(), graph.to_html()] {
        assert!(drawing.contains("plain") && !drawing.contains("canary"), "{drawing}");
    }
    assert!(graph.to_dot().contains("token"));
}
