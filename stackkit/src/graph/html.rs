//! The page of its own: the picture with a little script for panning, zooming, searching and lighting up neighbours.

use super::svg::{STYLE, body, description};
use super::{Graph, escape};

const PAGE_STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Nothing is fetched from anywhere, and the policy in the page says so.
pub(super) fn page(graph: &Graph) -> String {
    let (body, width, height) = body(graph);
    let title = escape(&graph.title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n<title>{title}</title>\n<style>{STYLE}\n{PAGE_STYLE}</style>\n</head>\n<body>\n<header><h1>{title}</h1><p>{}</p><input id=\"search\" type=\"search\" placeholder=\"Search\" aria-label=\"Search\"><button id=\"fit\" type=\"button\">Fit</button></header>\n<svg id=\"graph\" data-width=\"{width:.0}\" data-height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{title}\">\n<g id=\"view\">\n{body}</g>\n</svg>\n<aside id=\"about\" hidden></aside>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escape(&description(graph)),
    )
}
