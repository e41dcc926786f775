//! Seqs for the messages of a server that gives none: a worker numbers posts in the order in which
//! it first receives them.

use scenario::Plan;

use super::probe::PROBE_SEQ;

pub(crate) struct LocalSequence {
    /// By post; 0 is a post without a seq.
    by_post: Box<[u32]>,
    /// The last seq given, by room.
    last: Box<[u32]>,
    /// Largest ordinal received of each author.
    newest: Box<[u64]>,
}

impl LocalSequence {
    pub(crate) fn new(plan: &Plan) -> Self {
        let posts = usize::try_from(plan.posts_total()).expect("the plan bounds its posts");
        Self {
            by_post: vec![0; posts].into(),
            last: vec![PROBE_SEQ as u32; plan.rooms as usize].into(),
            newest: vec![0; plan.clients as usize].into(),
        }
    }

    /// The seq of the post with this index, which was received now.
    pub(crate) fn number(&mut self, room: u32, index: usize, author: u32, ordinal: u64) -> u64 {
        let newest = &mut self.newest[author as usize];
        *newest = ordinal.max(*newest);
        let (seq, last) = (&mut self.by_post[index], &mut self.last[room as usize]);
        if *seq == 0 {
            *last += 1;
            *seq = *last;
        }
        u64::from(*seq)
    }

    /// The seqs of the later posts of the same author that were received by any client.
    pub(crate) fn later_of_author<'a>(
        &'a self,
        plan: &'a Plan,
        author: u32,
        ordinal: u64,
    ) -> impl Iterator<Item = u64> + 'a {
        (ordinal + 1..=self.newest[author as usize])
            .filter_map(move |ordinal| plan.post_index(author, ordinal))
            .map(|index| u64::from(self.by_post[index]))
            .filter(|seq| *seq != 0)
    }
}
