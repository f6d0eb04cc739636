//! A layered layout, left to right: longest-path layers, few crossings by barycenters, and straight edges by regression.

use std::collections::BTreeMap;

/// Below this many points an edge that spans several layers bends around what is between; above, it goes straight.
const MOST_POINTS: usize = 60_000;
const SWEEPS: usize = 12;
const PULLS: usize = 8;

/// Sizes that the layout keeps to, in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spacing {
    pub(super) height: f64,
    pub(super) between_rows: f64,
    pub(super) between_layers: f64,
}

/// Where everything goes.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Left edge and centre line of every node.
    pub(super) at: Vec<(f64, f64)>,
    /// For every edge, the points that it goes through, from the right edge of one box to the left edge of another.
    pub(super) routes: Vec<Vec<(f64, f64)>>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Lays boxes of these widths out: what hangs together as one piece, the pieces side by side, the largest first.
pub(super) fn layout(widths: &[f64], edges: &[(usize, usize)], spacing: Spacing) -> Layout {
    let mut touched = vec![false; widths.len()];
    for (from, to) in edges {
        touched[*from] = true;
        touched[*to] = true;
    }
    let mut pieces: Vec<(Vec<usize>, Vec<usize>, Layout)> = pieces(widths.len(), edges, &touched)
        .into_iter()
        .map(|(nodes, inner)| {
            let place: BTreeMap<usize, usize> = nodes.iter().enumerate().map(|(at, node)| (*node, at)).collect();
            let local: Vec<_> = inner.iter().map(|edge| (place[&edges[*edge].0], place[&edges[*edge].1])).collect();
            let local_widths: Vec<f64> = nodes.iter().map(|node| widths[*node]).collect();
            let layout = piece(&local_widths, &local, spacing);
            (nodes, inner, layout)
        })
        .collect();
    pieces.sort_by(|a, b| b.2.height.total_cmp(&a.2.height));
    let (gap_x, gap_y) = (spacing.between_layers, spacing.between_rows * 2.0);
    let area: f64 = pieces.iter().map(|(_, _, piece)| (piece.width + gap_x) * (piece.height + gap_y)).sum();
    let widest = pieces.iter().map(|(_, _, piece)| piece.width).fold(0.0, f64::max);
    let page = widest.max((area * 1.6).sqrt());
    let mut out =
        Layout { at: vec![(0.0, 0.0); widths.len()], routes: vec![Vec::new(); edges.len()], width: 0.0, height: 0.0 };
    let (mut x, mut y, mut shelf) = (0.0, 0.0, 0.0f64);
    for (nodes, inner, piece) in pieces {
        if x > 0.0 && x + piece.width > page {
            y += shelf + gap_y;
            (x, shelf) = (0.0, 0.0);
        }
        for (node, at) in nodes.into_iter().zip(&piece.at) {
            out.at[node] = (at.0 + x, at.1 + y);
        }
        for (edge, route) in inner.into_iter().zip(&piece.routes) {
            out.routes[edge] = route.iter().map(|at| (at.0 + x, at.1 + y)).collect();
        }
        out.width = out.width.max(x + piece.width);
        out.height = out.height.max(y + piece.height);
        shelf = shelf.max(piece.height);
        x += piece.width + gap_x;
    }
    grid(&mut out, widths, &touched, spacing);
    out
}

/// The nodes and edges that hang together, in the order of their first nodes. What stands alone is in none.
fn pieces(count: usize, edges: &[(usize, usize)], touched: &[bool]) -> Vec<(Vec<usize>, Vec<usize>)> {
    fn root(parent: &mut [usize], mut node: usize) -> usize {
        while parent[node] != node {
            parent[node] = parent[parent[node]];
            node = parent[node];
        }
        node
    }
    let mut parent: Vec<usize> = (0..count).collect();
    for (from, to) in edges {
        let (a, b) = (root(&mut parent, *from), root(&mut parent, *to));
        parent[a.max(b)] = a.min(b);
    }
    let mut all: BTreeMap<usize, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for node in (0..count).filter(|node| touched[*node]) {
        all.entry(root(&mut parent, node)).or_default().0.push(node);
    }
    for (index, (from, _)) in edges.iter().enumerate() {
        all.entry(root(&mut parent, *from)).or_default().1.push(index);
    }
    all.into_values().collect()
}

/// Lays one piece out.
fn piece(widths: &[f64], edges: &[(usize, usize)], spacing: Spacing) -> Layout {
    let count = widths.len();
    let mut touched = vec![false; count];
    for (from, to) in edges {
        touched[*from] = true;
        touched[*to] = true;
    }
    let layer = layers(count, edges);
    let mut net = Net::new(&layer, &touched, edges);
    net.order();
    net.place(spacing);

    let layer_width = |at: usize| {
        let members = net.layers[at].iter().filter_map(|point| widths.get(*point));
        members.copied().fold(0.0, f64::max)
    };
    let mut lefts = Vec::with_capacity(net.layers.len());
    let mut x = 0.0;
    for at in 0..net.layers.len() {
        lefts.push((x, layer_width(at)));
        x += layer_width(at) + spacing.between_layers;
    }
    let mut out = Layout { at: vec![(0.0, 0.0); count], ..Layout::default() };
    out.width = (x - spacing.between_layers).max(0.0);
    let lowest = net.y.iter().zip(&net.layer).filter(|(_, layer)| layer.is_some()).map(|(y, _)| *y);
    let top = lowest.fold(f64::INFINITY, f64::min);
    let top = if top.is_finite() { top - spacing.height / 2.0 } else { 0.0 };
    net.y.iter_mut().for_each(|y| *y -= top);
    for node in (0..count).filter(|node| touched[*node]) {
        let Some(layer) = net.layer[node] else { continue };
        let (left, wide) = lefts[layer];
        out.at[node] = (left + (wide - widths[node]) / 2.0, net.y[node]);
        out.height = out.height.max(net.y[node] + spacing.height / 2.0);
    }
    for (index, (from, to)) in edges.iter().enumerate() {
        let mut route = vec![(out.at[*from].0 + widths[*from], out.at[*from].1)];
        for bend in &net.bends[index] {
            let Some(layer) = net.layer[*bend] else { continue };
            let (left, wide) = lefts[layer];
            route.extend([(left, net.y[*bend]), (left + wide, net.y[*bend])]);
            out.height = out.height.max(net.y[*bend] + spacing.height / 2.0);
        }
        route.push(out.at[*to]);
        out.routes.push(route);
    }
    out
}

/// The layer of every node: one more than that of the last one that it uses. Edges that close a circle are ignored.
fn layers(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut users = vec![Vec::new(); count];
    let mut open = vec![0usize; count];
    for (from, to) in edges {
        users[*from].push(*to);
        open[*to] += 1;
    }
    let mut layer = vec![0usize; count];
    let mut done = vec![false; count];
    let mut ready: Vec<usize> = (0..count).filter(|node| open[*node] == 0).collect();
    let mut order = Vec::with_capacity(count);
    let mut next = 0;
    while order.len() < count {
        let Some(node) = ready.pop() else {
            // Everything that is left is in a circle or behind one: break it at the first.
            while done[next] {
                next += 1;
            }
            open[next] = 0;
            ready.push(next);
            continue;
        };
        if std::mem::replace(&mut done[node], true) {
            continue;
        }
        order.push(node);
        for user in &users[node] {
            if !done[*user] {
                layer[*user] = layer[*user].max(layer[node] + 1);
                open[*user] = open[*user].saturating_sub(1);
                if open[*user] == 0 {
                    ready.push(*user);
                }
            }
        }
    }
    // What uses nothing moves to just before its first user, which shortens its edges.
    let mut uses = vec![false; count];
    edges.iter().for_each(|(_, to)| uses[*to] = true);
    for node in order.into_iter().rev().filter(|node| !uses[*node]) {
        if let Some(first) = users[node].iter().map(|user| layer[*user]).min() {
            layer[node] = first.saturating_sub(1);
        }
    }
    layer
}

/// The nodes and the bends of long edges, by layer.
struct Net {
    layers: Vec<Vec<usize>>,
    /// The layer of every point; none for what is not part of the net.
    layer: Vec<Option<usize>>,
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
    /// The points that stand for bends, by edge.
    bends: Vec<Vec<usize>>,
    y: Vec<f64>,
    /// How many of the points are nodes.
    nodes: usize,
}

impl Net {
    fn new(layer: &[usize], touched: &[bool], edges: &[(usize, usize)]) -> Self {
        let depth = layer.iter().zip(touched).filter(|(_, touched)| **touched).map(|(layer, _)| layer + 1).max();
        let mut net = Self {
            layers: vec![Vec::new(); depth.unwrap_or_default()],
            layer: layer.iter().zip(touched).map(|(layer, touched)| touched.then_some(*layer)).collect(),
            before: vec![Vec::new(); layer.len()],
            after: vec![Vec::new(); layer.len()],
            bends: vec![Vec::new(); edges.len()],
            y: Vec::new(),
            nodes: layer.len(),
        };
        for (node, layer) in net.layer.iter().enumerate() {
            if let Some(layer) = layer {
                net.layers[*layer].push(node);
            }
        }
        let spans: usize = edges.iter().map(|(from, to)| layer[*to].saturating_sub(layer[*from] + 1)).sum();
        let bends = spans + layer.len() <= MOST_POINTS;
        for (index, (from, to)) in edges.iter().enumerate() {
            if layer[*to] <= layer[*from] {
                continue;
            }
            let mut last = *from;
            for at in (layer[*from] + 1..layer[*to]).filter(|_| bends) {
                let point = net.layer.len();
                net.layer.push(Some(at));
                net.layers[at].push(point);
                net.before.push(vec![last]);
                net.after.push(Vec::new());
                net.after[last].push(point);
                net.bends[index].push(point);
                last = point;
            }
            net.after[last].push(*to);
            net.before[*to].push(last);
        }
        net.y = vec![0.0; net.layer.len()];
        net
    }

    /// Orders every layer by the middle of its neighbours, forth and back, and keeps the order with the fewest crossings.
    fn order(&mut self) {
        let mut best = (self.crossings(), self.layers.clone());
        for sweep in 0..SWEEPS {
            if best.0 == 0 {
                break;
            }
            let forth = sweep % 2 == 0;
            let mut position = vec![0.0; self.layer.len()];
            let depth = self.layers.len();
            for step in 0..depth {
                let at = if forth { step } else { depth - 1 - step };
                let neighbours = if forth { &self.before } else { &self.after };
                let mut keyed: Vec<(f64, usize)> = self.layers[at]
                    .iter()
                    .enumerate()
                    .map(|(index, point)| {
                        let all = &neighbours[*point];
                        let sum: f64 = all.iter().map(|other| position[*other]).sum();
                        (if all.is_empty() { index as f64 } else { sum / all.len() as f64 }, *point)
                    })
                    .collect();
                keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
                self.layers[at] = keyed.into_iter().map(|(_, point)| point).collect();
                for (index, point) in self.layers[at].iter().enumerate() {
                    position[*point] = index as f64;
                }
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.layers.clone());
            }
        }
        self.layers = best.1;
    }

    /// How many pairs of edges cross, counted with a tree of sums.
    fn crossings(&self) -> usize {
        let mut position = vec![0; self.layer.len()];
        for layer in &self.layers {
            layer.iter().enumerate().for_each(|(index, point)| position[*point] = index);
        }
        let mut total = 0;
        for pair in self.layers.windows(2) {
            let mut sums = vec![0usize; pair[1].len() + 1];
            let mut seen = 0;
            for point in &pair[0] {
                let mut ends: Vec<usize> = self.after[*point].iter().map(|to| position[*to]).collect();
                ends.sort_unstable();
                for end in &ends {
                    let (mut at, mut not_below) = ((*end + 1).min(pair[1].len()), 0);
                    while at > 0 {
                        not_below += sums[at];
                        at &= at - 1;
                    }
                    total += seen - not_below;
                }
                for end in ends {
                    let mut at = end + 1;
                    while at < sums.len() {
                        sums[at] += 1;
                        at += at & at.wrapping_neg();
                    }
                    seen += 1;
                }
            }
        }
        total
    }

    /// Heights: every point as near to the middle of its neighbours as the order and the spacing allow.
    fn place(&mut self, spacing: Spacing) {
        for layer in &self.layers {
            let mut y = 0.0;
            for (index, point) in layer.iter().enumerate() {
                if index > 0 {
                    y += self.gap(layer[index - 1], *point, spacing);
                }
                self.y[*point] = y;
            }
            layer.iter().for_each(|point| self.y[*point] -= y / 2.0);
        }
        for pull in 0..PULLS {
            let depth = self.layers.len();
            for step in 0..depth {
                let at = if pull % 2 == 0 { step } else { depth - 1 - step };
                let layer = &self.layers[at];
                let mut offset = 0.0;
                let mut offsets = Vec::with_capacity(layer.len());
                let mut wanted = Vec::with_capacity(layer.len());
                for (index, point) in layer.iter().enumerate() {
                    if index > 0 {
                        offset += self.gap(layer[index - 1], *point, spacing);
                    }
                    let all = self.before[*point].iter().chain(&self.after[*point]);
                    let (sum, count) = all.fold((0.0, 0.0), |(sum, count), other| (sum + self.y[*other], count + 1.0));
                    let middle = if count > 0.0 { sum / count } else { self.y[*point] };
                    offsets.push(offset);
                    // Bends pull harder, so that long edges become straight.
                    wanted.push((middle - offset, if *point >= self.nodes { 3.0 } else { 1.0 }));
                }
                let placed = rising(&wanted);
                let layer = self.layers[at].clone();
                for ((point, offset), value) in layer.into_iter().zip(offsets).zip(placed) {
                    self.y[point] = value + offset;
                }
            }
        }
    }

    fn gap(&self, above: usize, below: usize, spacing: Spacing) -> f64 {
        let half = |point: usize| if point < self.nodes { spacing.height / 2.0 } else { 2.0 };
        half(above) + half(below) + spacing.between_rows
    }
}

/// The rising sequence that is nearest to weighted values, by pooling what is out of order.
fn rising(wanted: &[(f64, f64)]) -> Vec<f64> {
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for (value, weight) in wanted {
        pools.push((*value, *weight, 1));
        while let [.., a, b] = pools.as_slice()
            && a.0 > b.0
        {
            let weight = a.1 + b.1;
            let merged = ((a.0 * a.1 + b.0 * b.1) / weight, weight, a.2 + b.2);
            pools.truncate(pools.len() - 2);
            pools.push(merged);
        }
    }
    pools.into_iter().flat_map(|(value, _, count)| std::iter::repeat_n(value, count)).collect()
}

/// What uses nothing and is used by nothing stands in rows below the rest.
fn grid(out: &mut Layout, widths: &[f64], touched: &[bool], spacing: Spacing) {
    let alone: Vec<usize> = (0..widths.len()).filter(|node| !touched[*node]).collect();
    let Some(widest) = alone.iter().map(|node| widths[*node]).reduce(f64::max) else { return };
    let step = widest + spacing.between_rows * 2.0;
    let square = (alone.len() as f64).sqrt() / 2.0;
    let columns = ((out.width / step).floor() as usize).max(square.ceil() as usize).max(1);
    let mut y = if out.height > 0.0 { out.height + spacing.between_rows * 2.5 } else { 0.0 };
    let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, node) in alone.into_iter().enumerate() {
        rows.entry(index / columns).or_default().push(node);
    }
    for row in rows.into_values() {
        for (column, node) in row.into_iter().enumerate() {
            out.at[node] = (column as f64 * step, y + spacing.height / 2.0);
            out.width = out.width.max(column as f64 * step + widths[node]);
        }
        y += spacing.height + spacing.between_rows;
    }
    out.height = y - spacing.between_rows;
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACING: Spacing = Spacing { height: 40.0, between_rows: 20.0, between_layers: 60.0 };

    #[test]
    fn layers_follow_the_longest_path() {
        assert_eq!(layers(5, &[(0, 1), (1, 2), (0, 2), (3, 2)]), [0, 1, 2, 1, 0]);
        // A circle is broken somewhere, and everything gets a layer.
        assert_eq!(layers(3, &[(0, 1), (1, 0), (1, 2)]).len(), 3);
    }

    #[test]
    fn crossings_are_counted_and_removed() {
        let edges = [(0, 3), (1, 2)];
        let mut net = Net::new(&[0, 0, 1, 1], &[true; 4], &edges);
        assert_eq!(net.crossings(), 1);
        net.order();
        assert_eq!(net.crossings(), 0);
    }

    #[test]
    fn a_rising_sequence_pools_what_is_out_of_order() {
        assert_eq!(rising(&[(1.0, 1.0), (3.0, 1.0), (2.0, 1.0), (5.0, 1.0)]), [1.0, 2.5, 2.5, 5.0]);
        assert_eq!(rising(&[(4.0, 3.0), (0.0, 1.0)]), [3.0, 3.0]);
    }

    #[test]
    fn nothing_overlaps_and_everything_is_on_the_page() {
        // A tangle with long edges, several components and boxes that stand alone.
        let edges: Vec<(usize, usize)> =
            (0..60usize).flat_map(|n| [(n, (n * 7 + 3) % 80), (n, (n * 3 + 11) % 80)]).filter(|(a, b)| a < b).collect();
        let widths: Vec<f64> = (0..100).map(|n| 80.0 + f64::from(n % 5) * 20.0).collect();
        let out = layout(&widths, &edges, SPACING);
        for (a, (ax, ay)) in out.at.iter().enumerate() {
            assert!(*ax >= -0.01 && ax + widths[a] <= out.width + 0.01, "{a}: {ax}");
            assert!(*ay >= 19.9 && ay + 20.0 <= out.height + 0.1, "{a}: {ay} of {}", out.height);
            for (b, (bx, by)) in out.at.iter().enumerate().skip(a + 1) {
                let apart = (ay - by).abs() >= 39.9 || ax + widths[a] <= bx + 0.01 || bx + widths[b] <= ax + 0.01;
                assert!(apart, "{a} and {b}");
            }
        }
        assert_eq!(out.routes.len(), edges.len());
    }

    #[test]
    fn many_small_pieces_fill_a_page() {
        let edges: Vec<(usize, usize)> = (0..300).map(|n| (2 * n, 2 * n + 1)).collect();
        let out = layout(&vec![100.0; 600], &edges, SPACING);
        let ratio = out.width / out.height;
        assert!((0.8..4.0).contains(&ratio), "{} x {}", out.width, out.height);
    }

    #[test]
    fn a_long_chain_is_laid_out_without_recursion() {
        let edges: Vec<(usize, usize)> = (1..20_000).map(|n| (n - 1, n)).collect();
        let out = layout(&vec![100.0; 20_000], &edges, SPACING);
        assert!(out.height < 41.0, "{}", out.height);
    }
}
