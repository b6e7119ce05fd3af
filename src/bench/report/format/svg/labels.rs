//! Places for short labels, where they cover nothing at any width of the chart.

use super::NARROWEST;

/// A box of a chart: its position along x is a share of the width, and its extent is in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    /// Position as a share of the chart's width.
    pub(super) share: f64,
    /// Ends along x in pixels, counted from the position.
    pub(super) x: (f64, f64),
    /// Upper and lower end in pixels.
    pub(super) y: (f64, f64),
}

impl Area {
    /// True if the two share no pixel at any width of at least [`NARROWEST`]: the distance of their positions only
    /// grows with the width.
    pub(super) fn is_apart(&self, other: &Area) -> bool {
        let before =
            |a: &Area, b: &Area| a.share <= b.share && (b.share - a.share) * NARROWEST + b.x.0 - a.x.1 >= 0.0;
        self.y.1 <= other.y.0 || other.y.1 <= self.y.0 || before(self, other) || before(other, self)
    }
}

/// A mark that a label can stand beside: the middle of a point and the ends of its interval.
#[derive(Clone, Copy)]
pub(super) struct Anchor {
    pub(super) share: f64,
    /// Pixels by which the mark is moved.
    pub(super) dx: f64,
    pub(super) middle: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// Width of a label of digits in pixels.
pub(super) fn width(text: &str) -> f64 {
    8.5 * text.chars().count() as f64
}

/// A place for a label of that many pixels beside one of `anchors`, or above or below its interval, that `is_free`.
pub(super) fn place(width: f64, anchors: &[Anchor], is_free: impl Fn(&Area) -> bool) -> Option<Area> {
    const HALF: f64 = 7.0;
    let area = |anchor: &Anchor, left: f64, middle: f64| Area {
        share: anchor.share,
        x: (anchor.dx + left, anchor.dx + left + width),
        y: (middle - HALF, middle + HALF),
    };
    let beside = |anchor: &Anchor, dy: f64| {
        [area(anchor, 8.0, anchor.middle + dy), area(anchor, -8.0 - width, anchor.middle + dy)]
    };
    let ends = |anchor: &Anchor, dy: f64| {
        [
            area(anchor, -width / 2.0, anchor.top - HALF - 2.0 - dy),
            area(anchor, -width / 2.0, anchor.bottom + HALF + 2.0 + dy),
        ]
    };
    let near = [0.0, -5.0, 5.0, -9.0, 9.0, -14.0, 14.0].into_iter();
    let near = near.flat_map(|dy| anchors.iter().flat_map(move |anchor| beside(anchor, dy)));
    let far = [0.0, 4.0, 8.0, 12.0, 18.0, 24.0, 32.0].into_iter();
    let far = far.flat_map(|dy| anchors.iter().flat_map(move |anchor| ends(anchor, dy)));
    near.chain(far).find(is_free)
}
