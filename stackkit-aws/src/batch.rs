//! Reading many resources with few calls: ids in batches, and what no answer names is gone.

use std::collections::HashMap;
use std::future::Future;

use crate::error::Error;

/// Reads `items` in batches of `size` ids. `fetch` answers with what is there, by id; an id without an answer is gone.
/// When a batch fails, that is the answer for each of its ids.
pub(crate) async fn read<S, T, Fut>(
    items: &[(String, Option<S>)],
    size: usize,
    fetch: impl Fn(Vec<String>) -> Fut,
) -> Vec<Result<Option<T>, Error>>
where
    Fut: Future<Output = Result<HashMap<String, T>, Error>>,
{
    let mut results = Vec::with_capacity(items.len());
    for batch in items.chunks(size) {
        let ids: Vec<String> = batch.iter().map(|(id, _)| id.clone()).collect();
        match fetch(ids).await {
            Ok(mut there) => results.extend(batch.iter().map(|(id, _)| Ok(there.remove(id)))),
            Err(error) => results.extend(batch.iter().map(|_| Err(error.clone()))),
        }
    }
    results
}

/// [`read`] for types whose state is in what the list says. `id_of` and `state` look at one entry of the list.
#[cfg(feature = "ec2")]
pub(crate) async fn read_states<S, W, Fut>(
    items: &[(String, Option<S>)],
    size: usize,
    list: impl Fn(Vec<String>) -> Fut,
    id_of: fn(&W) -> Option<&str>,
    state: impl Fn(&W) -> Result<S, Error>,
) -> Vec<Result<Option<S>, Error>>
where
    Fut: Future<Output = Result<Vec<W>, Error>>,
{
    let found = read(items, size, |ids| {
        let listed = list(ids);
        async move {
            let entries = listed.await?;
            Ok(entries.into_iter().filter_map(|entry| Some((id_of(&entry)?.to_owned(), entry))).collect())
        }
    })
    .await;
    found.into_iter().map(|found| found?.map(|entry| state(&entry)).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use stackkit::error::ErrorKind;

    use super::*;

    #[tokio::test]
    async fn what_no_answer_names_is_gone_and_a_failure_is_told_for_its_batch_alone() {
        let items: Vec<(String, Option<()>)> = ["a", "b", "c", "d", "e"].map(|id| (id.to_owned(), None)).into();
        let asked = RefCell::new(Vec::new());
        let found = read(&items, 2, |ids| {
            asked.borrow_mut().push(ids.join(""));
            async move {
                if ids.contains(&"c".to_owned()) {
                    return Err(Error::new(ErrorKind::Denied, "no"));
                }
                Ok(ids.into_iter().filter(|id| id != "b").map(|id| (id.clone(), id)).collect())
            }
        })
        .await;
        let found: Vec<_> = found.into_iter().map(|one| one.map_err(|e| e.kind())).collect();
        let denied = || Err(ErrorKind::Denied);
        assert_eq!(found, [Ok(Some("a".into())), Ok(None), denied(), denied(), Ok(Some("e".into()))]);
        assert_eq!(*asked.borrow(), ["ab", "cd", "e"]);
    }
}
