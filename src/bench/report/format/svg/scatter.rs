//! Scatter plots.

use super::{
    NARROWEST, along,
    labels::{Anchor, Area, place, width},
    last, number, open, percent, ticks,
};
use crate::bench::{report::format::escape::escaped, score::stats::Interval};

/// A point of a scatter plot, with its interval.
pub(in super::super) struct Point {
    /// Number of the model, which a list beside the chart names.
    pub(in super::super) model: usize,
    pub(in super::super) x: f64,
    pub(in super::super) y: f64,
    pub(in super::super) interval: Option<Interval>,
    /// CSS class that sets the colour.
    pub(in super::super) class: String,
}

const HEIGHT: f64 = 330.0;
const TOP: f64 = 42.0;
const BOTTOM: f64 = 46.0;

/// Draws a scatter plot; `y` is a fraction, shown in per cent.
pub(in super::super) fn scatter(points: &[Point], x_title: &str, y_title: &str) -> String {
    let lows = points.iter().map(|point| point.interval.map_or(point.y, |i| i.low));
    let highs = points.iter().map(|point| point.interval.map_or(point.y, |i| i.high));
    let y_ticks = ticks(lows.fold(1.0, f64::min) * 100.0, highs.fold(0.0, f64::max) * 100.0, 6.0);
    let x_ticks = ticks(0.0, points.iter().map(|point| point.x).fold(0.0, f64::max), 4.0);
    let (x_end, y_start, y_end) = (last(&x_ticks), y_ticks[0], last(&y_ticks));
    let y = |share: f64| {
        HEIGHT - BOTTOM - (share * 100.0 - y_start) / (y_end - y_start) * (HEIGHT - TOP - BOTTOM)
    };
    let grid: Vec<(f64, f64)> = y_ticks.iter().map(|tick| (*tick, y(tick / 100.0))).collect();
    let mut out = open(HEIGHT, &format!("{y_title} against {x_title}"));
    for (tick, at) in &grid {
        out += &format!(
            "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"0\" y=\"{:.1}\">{}</text>",
            at - 4.0,
            number(*tick)
        );
    }
    for tick in &x_ticks {
        out += &format!(
            "<text class=\"tick\" x=\"{:.2}%\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            percent(tick / x_end),
            HEIGHT - BOTTOM + 18.0,
            number(*tick)
        );
    }
    out += &format!(
        "<text class=\"axis\" x=\"100%\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <text class=\"axis\" x=\"0\" y=\"13\">{}</text>",
        HEIGHT - 7.0,
        escaped(x_title),
        escaped(y_title)
    );
    let anchors = anchors(points, x_end, y);
    for (point, anchor) in points.iter().zip(&anchors) {
        out += &mark(&escaped(&point.class), anchor, point.interval.is_some());
    }
    let labels = labels(points, &anchors, &grid);
    out.extend(labels.iter().map(Label::drawn));
    out + "</svg>"
}

/// Places of the points. Modes of one file are moved apart; points of other files stay, since their order on the axis
/// matters.
fn anchors(points: &[Point], x_end: f64, y: impl Fn(f64) -> f64) -> Vec<Anchor> {
    let mut anchors: Vec<Anchor> = Vec::with_capacity(points.len());
    for (i, point) in points.iter().enumerate() {
        let share = along(point.x / x_end);
        let same_file = |dx: f64| {
            let near = |a: &Anchor| (a.share - share).abs() * NARROWEST < 5.0 && (a.dx - dx).abs() < 5.0;
            (0..i).any(|j| points[j].model == point.model && near(&anchors[j]))
        };
        let mut dx = 0.0;
        while same_file(dx) {
            dx += 6.0;
        }
        let (low, high) = point.interval.map_or((point.y, point.y), |i| (i.low, i.high));
        let middle = y(point.y);
        let (top, bottom) = (y(high).min(middle - 5.0), y(low).max(middle + 5.0));
        anchors.push(Anchor { share, dx, middle, top, bottom });
    }
    anchors
}

/// A point with its interval.
fn mark(class: &str, at: &Anchor, has_interval: bool) -> String {
    let interval = match has_interval {
        true => format!(
            "<line class=\"interval {class}\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{1:.1}\" y2=\"{2:.1}\"/>",
            at.dx, at.top, at.bottom
        ),
        false => String::new(),
    };
    format!(
        "<svg x=\"{:.2}%\" overflow=\"visible\">{interval}<circle class=\"point {class}\" cx=\"{:.1}\" cy=\"{:.1}\" \
         r=\"5\"/></svg>",
        100.0 * at.share,
        at.dx,
        at.middle
    )
}

/// The numbers of one or more models at one place.
struct Label {
    models: Vec<usize>,
    anchors: Vec<Anchor>,
    area: Area,
}

impl Label {
    fn text(models: &[usize]) -> String {
        let numbers: Vec<String> = models.iter().map(usize::to_string).collect();
        numbers.join(",")
    }

    fn drawn(&self) -> String {
        format!(
            "<svg x=\"{:.2}%\" overflow=\"visible\"><text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"middle\">{}</text></svg>",
            100.0 * self.area.share,
            (self.area.x.0 + self.area.x.1) / 2.0,
            self.area.y.1 - 2.5,
            Self::text(&self.models)
        )
    }
}

/// Labels of the models, each beside one of its points. A model without a free place shares the label of a neighbour;
/// without one it has none, and the tables tell where it is.
fn labels(points: &[Point], anchors: &[Anchor], grid: &[(f64, f64)]) -> Vec<Label> {
    let taken = obstacles(anchors, grid);
    let free = |area: &Area, labels: &[Label], but: Option<usize>| {
        let left = area.share * NARROWEST + area.x.0;
        let inside = left >= 2.0
            && area.share * NARROWEST + area.x.1 <= NARROWEST
            && area.y.0 >= TOP - 18.0
            && area.y.1 <= HEIGHT - BOTTOM;
        let others = labels.iter().enumerate().filter(|(i, _)| Some(*i) != but);
        inside
            && taken.iter().all(|other| area.is_apart(other))
            && others.map(|(_, label)| &label.area).all(|other| area.is_apart(other))
    };
    let mut models: Vec<usize> = points.iter().map(|point| point.model).collect();
    models.sort_unstable();
    models.dedup();
    let mut labels: Vec<Label> = Vec::new();
    for model in models {
        let of_model = points.iter().zip(anchors).filter(|(point, _)| point.model == model);
        let own: Vec<Anchor> = of_model.map(|(_, anchor)| *anchor).collect();
        let text = model.to_string();
        if let Some(area) = place(width(&text), &own, |area| free(area, &labels, None)) {
            labels.push(Label { models: vec![model], anchors: own, area });
            continue;
        }
        let is_near = |a: &Anchor| {
            own.iter()
                .any(|b| (a.share - b.share).abs() * NARROWEST < 24.0 && (a.middle - b.middle).abs() < 24.0)
        };
        let joined = (0..labels.len()).filter(|i| labels[*i].anchors.iter().any(is_near)).find_map(|i| {
            let models = [&*labels[i].models, &[model]].concat();
            let anchors = [&*labels[i].anchors, &*own].concat();
            let area = place(width(&Label::text(&models)), &anchors, |area| free(area, &labels, Some(i)))?;
            Some((i, Label { models, anchors, area }))
        });
        if let Some((i, label)) = joined {
            labels[i] = label;
        }
    }
    labels
}

/// Areas that no label may cover: points, intervals, lines of the grid and their numbers.
fn obstacles(anchors: &[Anchor], grid: &[(f64, f64)]) -> Vec<Area> {
    let marks = anchors.iter().flat_map(|a| {
        let area = |half: f64, y: (f64, f64)| Area { share: a.share, x: (a.dx - half, a.dx + half), y };
        [area(6.0, (a.middle - 6.0, a.middle + 6.0)), area(2.0, (a.top, a.bottom))]
    });
    let lines = grid.iter().flat_map(|(tick, at)| {
        let (line, text) = ((at - 0.5, at + 0.5), (at - 15.0, at - 2.0));
        // A line reaches from end to end, whatever the width is.
        let whole = Area { share: 0.0, x: (f64::NEG_INFINITY, f64::INFINITY), y: line };
        [whole, Area { share: 0.0, x: (0.0, width(&number(*tick)) + 2.0), y: text }]
    });
    marks.chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(model: usize, x: f64, y: f64, half: f64, class: &str) -> Point {
        let interval = Some(Interval { low: (y - half).max(0.0), high: (y + half).min(1.0) });
        Point { model, x, y, interval, class: class.into() }
    }

    /// Positions of the points at a width of 1000.
    fn at(chart: &str) -> Vec<f64> {
        let number = |text: &str| text.split(['"', '%']).next().unwrap().parse::<f64>().unwrap();
        let circles = chart.split("<svg x=\"").filter(|part| part.contains("<circle"));
        circles.map(|part| number(part) * 10.0 + number(part.split("cx=\"").nth(1).unwrap())).collect()
    }

    #[test]
    fn a_smaller_file_never_stands_to_the_right_of_a_larger_one() {
        let chart = scatter(
            &[
                point(1, 11.7, 0.5, 0.1, "free"),
                point(2, 3.79, 0.5, 0.1, "free"),
                point(3, 3.67, 0.5, 0.1, "free"),
                point(3, 3.67, 0.5, 0.1, "any"),
            ],
            "MB",
            "%",
        );
        let at = at(&chart);
        assert!(at[0] > at[1] && at[1] > at[2], "{at:?}");
        assert!(at[3] > at[2], "the modes of a file do not cover each other: {at:?}");
    }

    /// Area of a label, a point or an interval in pixels: left, top, right, bottom.
    fn in_pixels(area: &Area, width: f64) -> [f64; 4] {
        let at = area.share * width;
        [at + area.x.0, area.y.0, at + area.x.1, area.y.1]
    }

    #[test]
    fn models_at_one_place_share_a_label_or_stand_around_it() {
        let points: Vec<Point> = (1..=12).map(|model| point(model, 1100.0, 0.8, 0.05, "any")).collect();
        let anchors = anchors(&points, 4000.0, |share| HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM));
        let labels = labels(&points, &anchors, &[]);
        let mut named: Vec<usize> = labels.iter().flat_map(|label| label.models.clone()).collect();
        named.sort_unstable();
        assert_eq!(named, (1..=12).collect::<Vec<_>>());
    }

    proptest::proptest! {
        #[test]
        fn labels_cross_nothing_at_any_width(
            seeds in proptest::collection::vec((0.0f64..4000.0, 0.0f64..1.0, 0.0f64..0.2, 1usize..4), 1..14)
        ) {
            let modes = ["free", "any", "schema"];
            let points: Vec<Point> = seeds.iter().enumerate().flat_map(|(i, (x, y, half, count))| {
                modes[..*count].iter().map(move |mode| point(i + 1, *x, *y, *half, mode))
            }).collect();
            let y = |share: f64| HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
            let anchors = anchors(&points, 4000.0, y);
            let grid: Vec<(f64, f64)> = (0..6).map(|i| (20.0 * i as f64, y(0.2 * i as f64))).collect();
            let labels = labels(&points, &anchors, &grid);
            proptest::prop_assert!(!labels.is_empty());
            for width in [NARROWEST, 294.0, 568.0, 1100.0] {
                let boxes: Vec<[f64; 4]> = labels.iter().map(|label| in_pixels(&label.area, width)).collect();
                let meet = |a: &[f64; 4], b: [f64; 4]| a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
                for (i, label) in boxes.iter().enumerate() {
                    proptest::prop_assert!(label[0] >= 0.0 && label[2] <= width, "{label:?} of {width}");
                    proptest::prop_assert!(!boxes[..i].iter().any(|other| meet(label, *other)));
                    for a in &anchors {
                        let x = a.share * width + a.dx;
                        let circle = [x - 5.0, a.middle - 5.0, x + 5.0, a.middle + 5.0];
                        let interval = [x - 1.0, a.top, x + 1.0, a.bottom];
                        proptest::prop_assert!(!meet(label, circle) && !meet(label, interval));
                    }
                    proptest::prop_assert!(!grid.iter().any(|(_, at)| label[1] < *at && *at < label[3]));
                }
            }
        }
    }
}
