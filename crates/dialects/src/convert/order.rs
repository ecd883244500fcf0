//! What follows from which job needs which, found once for all jobs: a file may lead from one job to another in more ways
//! than anybody can walk.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::draft::{Base, Cond, Draft, Job};

/// Conditions of so many other jobs are repeated at a job.
const MAX_REPEATED: usize = 64;

/// What follows for each job, in the order of the draft.
#[derive(Debug, Default)]
pub(super) struct Order {
    index: HashMap<String, usize>,
    levels: Vec<usize>,
    conditions: Vec<Cond>,
    skippable: Vec<bool>,
}

impl Order {
    pub(super) fn of(draft: &Draft) -> Self {
        let jobs = &draft.jobs;
        let index: HashMap<String, usize> = jobs.iter().enumerate().rev().map(|(i, j)| (j.key.clone(), i)).collect();
        let needs: Vec<Vec<usize>> = jobs.iter().map(|j| j.needs.iter().filter_map(|n| index.get(n).copied()).collect()).collect();
        let order = sorted(&needs);
        let mut rank = vec![0; jobs.len()];
        order.iter().enumerate().for_each(|(r, job)| rank[*job] = r);

        let mut levels = vec![0; jobs.len()];
        let mut skippable = vec![false; jobs.len()];
        // the jobs whose conditions decide about each, by rank
        let mut deciding: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); jobs.len()];
        for &job in &order {
            // a circle has no order, and its readers have refused it
            let above = || needs[job].iter().copied().filter(|n| rank[*n] < rank[job]);
            levels[job] = above().map(|n| levels[n] + 1).max().unwrap_or(0);
            skippable[job] = above().any(|n| jobs[n].when.cond != Cond::True || jobs[n].gate.is_some() || skippable[n]);
            let mut own = BTreeSet::new();
            if jobs[job].when.base == Base::Success && !jobs[job].when.through {
                above().for_each(|n| own.extend(&deciding[n]));
            }
            if jobs[job].when.cond != Cond::True {
                own.insert(rank[job]);
            }
            deciding[job] = own;
        }
        let conditions = deciding.iter().map(|ranks| {
            if ranks.len() > MAX_REPEATED {
                return Cond::Foreign(format!("those of {} jobs together", ranks.len()));
            }
            ranks.iter().map(|r| jobs[order[*r]].when.cond.clone()).fold(Cond::True, Cond::and)
        });
        Self { conditions: conditions.collect(), index, levels, skippable }
    }

    /// How many jobs stand before each job at least.
    pub(super) fn levels(&self) -> &[usize] {
        &self.levels
    }

    /// The condition of a job with those of the jobs it is skipped with.
    pub(super) fn condition(&self, job: &Job) -> Cond {
        self.index.get(&job.key).map_or(&job.when.cond, |i| &self.conditions[*i]).clone()
    }

    /// May some job that it needs be left out?
    pub(super) fn skippable(&self, job: &Job) -> bool {
        self.index.get(&job.key).is_some_and(|i| self.skippable[*i])
    }
}

/// Jobs behind those they need; what goes round in a circle comes last.
fn sorted(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut waits: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut behind: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (job, needs) in needs.iter().enumerate() {
        needs.iter().for_each(|n| behind[*n].push(job));
    }
    let mut ready: VecDeque<usize> = (0..needs.len()).filter(|j| waits[*j] == 0).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(job) = ready.pop_front() {
        order.push(job);
        for &next in &behind[job] {
            waits[next] -= 1;
            if waits[next] == 0 {
                ready.push_back(next);
            }
        }
    }
    order.extend((0..needs.len()).filter(|j| waits[*j] > 0));
    order
}

#[cfg(test)]
mod tests {
    use super::super::{Target, convert};
    use std::fmt::Write as _;
    use std::time::{Duration, Instant};

    /// Each job needs all before it: there are 2^n ways from the last to the first.
    fn dense(jobs: usize, if_line: &str) -> String {
        let mut text = "on: push\njobs:\n".to_owned();
        for job in 0..jobs {
            let needs: Vec<String> = (0..job).map(|n| format!("j{n}")).collect();
            let _ = write!(text, "  j{job}:\n    runs-on: x\n    needs: [{}]\n    steps: [{{run: a}}]\n", needs.join(", "));
            if !if_line.is_empty() {
                let _ = writeln!(text, "    if: github.ref_name {if_line} 'b{job}'");
            }
        }
        text
    }

    #[test]
    fn every_way_between_jobs_is_walked_once() {
        let begun = Instant::now();
        for to in Target::ALL {
            for if_line in ["", "!="] {
                let text = dense(120, if_line);
                let made = convert("ci.yml", text.as_bytes(), Target::Github, to).unwrap();
                assert!(made.differences.iter().all(|d| &*d.span.file == "ci.yml"));
                assert!(made.files[0].text.len() < 8 << 20);
                if to != Target::Github && !if_line.is_empty() {
                    assert!(made.differences.iter().any(|d| d.message.contains("those of")), "{:?}", made.differences.last());
                }
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_file_of_stages_only_ends() {
        let begun = Instant::now();
        let mut text = "pipeline { agent any\nstages {\n".to_owned();
        (0..3000).for_each(|_| text.push_str("stage('a') { when { branch 'x' }\nsteps { sh 'x' } }\n"));
        text.push_str("}\n}\n");
        for to in Target::ALL {
            let Ok(made) = convert("Jenkinsfile", text.as_bytes(), Target::Jenkins, to) else { continue };
            assert!(to == Target::Jenkins || made.differences.iter().any(|d| d.code == "too_many_jobs"));
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}
