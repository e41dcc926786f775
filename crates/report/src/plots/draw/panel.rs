//! A panel: a pair of axes with its grid.

use super::scale::Scale;
use super::scene::{Anchor, Area, Scene, Stroke, width};
use super::style::{FAINT, SIZE, SMALL, SOFT};

/// One.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::plots) struct Panel {
    /// Area of the data.
    pub(in crate::plots) area: Area,
    /// Horizontal axis.
    pub(in crate::plots) x: Scale,
    /// Vertical axis.
    pub(in crate::plots) y: Scale,
}

impl Panel {
    /// Position of a point.
    pub(in crate::plots) fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (self.across(x), self.up(y))
    }

    /// Horizontal position.
    pub(in crate::plots) fn across(&self, x: f64) -> f64 {
        self.area.left + self.x.place(x).clamp(0.0, 1.0) * (self.area.right - self.area.left)
    }

    /// Vertical position.
    pub(in crate::plots) fn up(&self, y: f64) -> f64 {
        self.area.bottom - self.y.place(y).clamp(0.0, 1.0) * (self.area.bottom - self.area.top)
    }

    /// Draws grid, ticks and axis titles.
    pub(in crate::plots) fn axes(&self, scene: &mut Scene, across: &str, up: &str) {
        self.up_ticks(scene, true);
        self.across_ticks(scene, true);
        let middle = f64::midpoint(self.area.left, self.area.right);
        scene.text((middle, self.area.bottom + 40.0), across, SMALL, Anchor::Middle, SOFT);
        scene.text((12.0, self.area.top - 15.0), up, SMALL, Anchor::Start, SOFT);
    }

    fn ticks_up(&self) -> Vec<(f64, String)> {
        let height = self.area.bottom - self.area.top;
        self.y.ticks((height / (1.3 * SMALL)) as usize)
    }

    /// Horizontal grid lines, with or without labels.
    pub(in crate::plots) fn up_ticks(&self, scene: &mut Scene, named: bool) {
        for (value, name) in self.ticks_up() {
            let height = self.up(value);
            scene.line(vec![(self.area.left, height), (self.area.right, height)], Stroke::new(FAINT, 1.0));
            if named {
                scene.small((self.area.left - 6.0, height), &name, Anchor::End);
            }
        }
    }

    /// Vertical grid lines, with labels where there is space, or without.
    pub(in crate::plots) fn across_ticks(&self, scene: &mut Scene, named: bool) {
        let (left, right) = (self.area.left, self.area.right);
        let ticks = self.x.ticks(((right - left) / 50.0) as usize);
        let mut taken = f64::NEG_INFINITY;
        for (value, name) in ticks {
            let place = self.across(value);
            scene.line(vec![(place, self.area.top), (place, self.area.bottom)], Stroke::new(FAINT, 1.0));
            let half = width(&name, SMALL) / 2.0;
            if named && place - half > taken + 6.0 && place + half < super::WIDTH - 2.0 {
                scene.small((place, self.area.bottom + 14.0), &name, Anchor::Middle);
                taken = place + half;
            }
        }
        let baseline = vec![(left, self.area.bottom), (right, self.area.bottom)];
        scene.line(baseline, Stroke::new(SOFT, 1.2));
    }
}

/// Areas of panels in rows, each below its heading, and the total height.
pub(in crate::plots) fn grid(
    count: usize,
    (top, height): (f64, f64),
    (left, right): (f64, f64),
    columns: usize,
) -> (Vec<Area>, f64) {
    const GAP: f64 = 28.0;
    let head = SIZE * 1.6;
    let columns = columns.min(count.max(1));
    let each = (right - left - GAP * (columns - 1) as f64) / columns as f64;
    let areas = (0..count).map(|at| {
        let (row, column) = ((at / columns) as f64, (at % columns) as f64);
        let (left, top) = (left + column * (each + GAP), top + head + row * (height + head + 8.0));
        Area { left, top, right: left + each, bottom: top + height }
    });
    let areas: Vec<_> = areas.collect();
    let bottom = areas.iter().map(|area| area.bottom).fold(top, f64::max);
    (areas, bottom)
}
