//! Catching up by pages, after having been away for longer than the engine replays.

use super::{Over, Person};
use crate::{
    view::{Gap, Seen},
    wire::{Connection, Ended, Frame},
};

/// Records of one page.
const PAGE: usize = 100;

/// A stretch that is being read.
#[derive(Debug)]
pub(super) struct Filling {
    /// The last record before it.
    after: i64,
    /// What came live meanwhile.
    live: Vec<Seen>,
    /// Records of the page that is on its way.
    in_page: usize,
    page: usize,
}

impl Person {
    /// Asks for the first page.
    pub(super) async fn begin_to_fill(&mut self, connection: &mut Connection) -> Result<Filling, Over> {
        let after = self.view.last();
        self.note("missed too much", &format!("after {after}"));
        let filling = Filling { after, live: Vec::new(), in_page: 0, page: 0 };
        self.ask_for_page(connection, &filling).await?;
        Ok(filling)
    }

    async fn ask_for_page(&self, connection: &mut Connection, filling: &Filling) -> Result<(), Over> {
        let headers = [
            ("destination", &*format!("/app/history/{}", self.room)),
            ("subscription", "chat"),
            ("after", &self.view.last().to_string()),
            ("limit", &PAGE.to_string()),
            ("receipt", &receipt(filling.page)),
        ];
        connection.send("SEND", &headers, "").await.map_err(Over::Ended)
    }

    /// A record while it is being filled.
    pub(super) fn take_while_filling(&mut self, filling: &mut Filling, frame: &Frame, seen: Seen) {
        if frame.header("history") != Some("true") {
            filling.live.push(seen);
            return;
        }
        filling.in_page += 1;
        if let Some(first) = filling.live.first()
            && seen.seq >= first.seq
        {
            // It is here already.
            return;
        }
        self.view.add(seen);
    }

    /// A RECEIPT: whether it ends a page, and if that was the last, `None` for the filling.
    pub(super) async fn page_is_there(
        &mut self,
        connection: &mut Connection,
        mut filling: Filling,
        id: &str,
    ) -> Result<Option<Filling>, Over> {
        if id != receipt(filling.page) {
            return Ok(Some(filling));
        }
        if filling.in_page > PAGE {
            self.wrong(format!("a page of {} records, {PAGE} were asked for", filling.in_page));
        }
        if filling.in_page >= PAGE {
            (filling.page, filling.in_page) = (filling.page + 1, 0);
            if filling.page > 10_000 {
                return Err(Over::Ended(Ended::Nonsense("history has no end".to_owned())));
            }
            self.ask_for_page(connection, &filling).await?;
            return Ok(Some(filling));
        }
        let to = self.view.last();
        self.end_filling(&filling);
        // The first of them ends the gap: between the last page and it changes may lie, and pages have none.
        for seen in filling.live {
            self.take_again(seen);
        }
        self.note("caught up by pages", &format!("from {} to {to}", filling.after));
        Ok(None)
    }

    /// A record of a stream that began afresh: an engine that was behind what this client had seen elsewhere has its
    /// own past still before it.
    pub(super) fn take_again(&mut self, seen: Seen) {
        if seen.seq > self.view.last() {
            self.view.add(seen);
        }
    }

    /// Whether it got to its end or not, these records were read as pages.
    pub(super) fn end_filling(&mut self, filling: &Filling) {
        self.view.gaps.push(Gap::open(filling.after));
    }
}

fn receipt(page: usize) -> String {
    format!("page-{page}")
}
