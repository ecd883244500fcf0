//! What every page that renders Markdown of users needs. Pure.

use pulldown_cmark::Event;

/// Elements within elements; what is deeper keeps its text only, since browsers and cleaners alike are slow on towers.
const MAX_DEPTH: usize = 100;

/// Leaves out the elements that lie deeper than [`MAX_DEPTH`].
pub fn shallow<'a>(events: impl Iterator<Item = Event<'a>>) -> impl Iterator<Item = Event<'a>> {
    let mut depth = 0_usize;
    events.filter(move |event| match event {
        Event::Start(_) => {
            depth += 1;
            depth <= MAX_DEPTH
        }
        Event::End(_) => {
            depth = depth.saturating_sub(1);
            depth < MAX_DEPTH
        }
        _ => true,
    })
}
