//! Drawing: figures with charts by plotters. Independent of runs.

mod chart;
mod figure;
mod labels;
mod marker;
mod png;
mod recorder;
mod scale;
mod style;
mod svg;
mod text;

pub(super) use chart::{Chart, Grid, panels};
pub(super) use figure::{Area, Figure};
pub(super) use labels::spread;
pub(super) use png::png;
pub(super) use scale::{Scale, nines, tick};
pub(super) use style::{CLASSES, HEAT, INK, PAPER, SIZE, SMALL, SOFT, Shape, Stroke, SubjectStyle, WIDTH, looks};
pub(super) use svg::svg;
pub(super) use text::{shortened, width as text_width};
