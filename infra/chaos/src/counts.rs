//! How many have not read each message, as one client shows it: what `docs/wire.md` tells its authors to do.

use std::collections::BTreeMap;

use serde_json::Value;

/// The numbers on the page.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// By seq; none where the engine did not know.
    shown: BTreeMap<i64, Option<i64>>,
    /// Members other than a message's sender.
    most: i64,
}

impl Counts {
    /// Of a room with so many members at most.
    pub fn new(members: usize) -> Self {
        Self { shown: BTreeMap::new(), most: i64::try_from(members).unwrap_or(i64::MAX) - 1 }
    }

    /// What is on the page.
    pub const fn shown(&self) -> &BTreeMap<i64, Option<i64>> {
        &self.shown
    }

    /// Everything is to be fetched anew.
    pub fn clear(&mut self) {
        self.shown.clear();
    }

    /// A message came, or came again.
    pub fn message(&mut self, seq: i64, unread: Option<i64>) -> Result<(), String> {
        self.shown.insert(seq, unread);
        self.check(seq)
    }

    /// The body of an event without a seq; what is not about counts changes nothing.
    pub fn event(&mut self, body: &str) -> Result<(), String> {
        let event: Value = serde_json::from_str(body).map_err(|error| format!("{error} in {body}"))?;
        if event["type"] != "read" {
            return Ok(());
        }
        let number =
            |value: &Value| value.as_i64().ok_or_else(|| format!("no number where one is due: {body}"));
        for change in event["changes"].as_array().into_iter().flatten() {
            let (from, to, by) = (number(&change["from"])?, number(&change["to"])?, number(&change["by"])?);
            if from >= to {
                return Err(format!("a range of nothing: {body}"));
            }
            for unread in self.shown.range_mut(from + 1..=to).filter_map(|(_, unread)| unread.as_mut()) {
                *unread += by;
            }
        }
        if let Some(steps) = event["reset"].as_array() {
            for (seq, unread) in &mut self.shown {
                let step = steps.iter().rfind(|step| step[0].as_i64().is_some_and(|above| *seq > above));
                let step = step.ok_or_else(|| format!("no step for {seq}: {body}"))?;
                *unread = Some(number(&step[1])?);
            }
        }
        let seqs: Vec<_> = self.shown.keys().copied().collect();
        seqs.into_iter().try_for_each(|seq| self.check(seq).map_err(|wrong| format!("{wrong}, after {body}")))
    }

    fn check(&self, seq: i64) -> Result<(), String> {
        match self.shown.get(&seq) {
            Some(Some(unread)) if !(0..=self.most).contains(unread) => {
                Err(format!("{seq} shows {unread} unread, of at most {}", self.most))
            }
            _ => Ok(()),
        }
    }
}

/// How many have not read the message at `seq` when everybody follows the room but those who went after having seen
/// these places.
pub fn expected(seq: i64, gone: &[i64]) -> usize {
    gone.iter().filter(|last| **last < seq).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_steps_are_applied_to_what_is_shown() {
        let mut counts = Counts::new(4);
        for (seq, unread) in [(10, 1), (11, 2), (12, 3)] {
            counts.message(seq, Some(unread)).unwrap();
        }
        counts.event(r#"{"type":"read","changes":[{"from":10,"to":12,"by":-1}]}"#).unwrap();
        assert_eq!(counts.shown().values().flatten().copied().collect::<Vec<_>>(), [1, 1, 2]);
        counts.event(r#"{"type":"read","reset":[[0,0],[11,3]]}"#).unwrap();
        assert_eq!(counts.shown().values().flatten().copied().collect::<Vec<_>>(), [0, 0, 3]);
        counts.event(r#"{"type":"recovered","recovered":true}"#).unwrap();
        assert!(
            counts.event(r#"{"type":"read","changes":[{"from":10,"to":11,"by":-1}]}"#).is_err(),
            "below 0"
        );
        assert!(counts.message(13, Some(4)).is_err(), "its sender is a member");
    }

    #[test]
    fn what_has_no_count_gets_one_by_a_reset() {
        let mut counts = Counts::new(3);
        counts.message(5, None).unwrap();
        counts.event(r#"{"type":"read","changes":[{"from":1,"to":9,"by":1}]}"#).unwrap();
        assert_eq!(counts.shown()[&5], None);
        counts.event(r#"{"type":"read","reset":[[0,0],[4,2]]}"#).unwrap();
        assert_eq!(counts.shown()[&5], Some(2));
    }

    #[test]
    fn who_went_has_not_read_what_came_later() {
        assert_eq!([4, 5, 6, 7].map(|seq| expected(seq, &[4, 6])), [0, 1, 1, 2]);
    }
}
