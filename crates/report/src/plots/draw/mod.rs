//! Drawing: a scene of marks, painted by plotters. Independent of runs.

mod labels;
mod paint;
mod panel;
mod scale;
mod scene;
mod style;
mod svg;

pub(super) use labels::spread;
pub(super) use paint::{png, svg};
pub(super) use panel::{Panel, grid};
pub(super) use scale::{Scale, nines, tick};
#[cfg(test)]
pub(super) use scene::room;
pub(super) use scene::{Anchor, Area, Mark, Scene, Stroke, shortened, width as text_width};
pub(super) use style::{CLASSES, Colour, HEAT, INK, PAPER, SIZE, SMALL, SOFT, Shape, SubjectStyle, WIDTH, looks};
