//! Several things at a time, up to a number; the first failure ends them all.

use tokio::task::JoinSet;

use super::failure::{Failure, Kind};

/// Layers that docker pulls at a time.
pub const DOWNLOADS: usize = 3;
/// Layers that docker pushes at a time.
pub const UPLOADS: usize = 5;

/// Runs everything in `works`, at most `most` at a time. Dropping the future ends what runs.
pub async fn run<F>(most: usize, mut works: impl Iterator<Item = F>) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let mut running = JoinSet::new();
    loop {
        while running.len() < most.max(1)
            && let Some(work) = works.next()
        {
            running.spawn(work);
        }
        match running.join_next().await {
            None => return Ok(()),
            Some(done) => {
                done.map_err(|error| Failure::new(Kind::Lost, format!("cut off: {error}")))??;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn no_more_run_at_a_time_than_allowed() {
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let works = (0..20).map(|_| {
            let (running, most) = (running.clone(), most.clone());
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        });
        assert_eq!(run(3, works).await, Ok(()));
        assert_eq!(most.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn the_first_failure_is_the_result() {
        let failure = Failure::new(Kind::Timeout, "late");
        let works = (0..5).map(|at| {
            let failure = failure.clone();
            async move { if at == 2 { Err(failure) } else { Ok(()) } }
        });
        assert_eq!(run(3, works).await, Err(failure.clone()));
    }
}
