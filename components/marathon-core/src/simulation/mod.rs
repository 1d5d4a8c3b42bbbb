//! Random lives of small clusters: whatever happens, nothing is stuck, doubled, too much or too
//! little.
//!
//! A failing seed is named in the panic; `DAIS_SIMULATION_SEED=<seed>` plays that one alone, with
//! what it does printed. `DAIS_SIMULATION_COUNT=<n>` plays more.

mod actions;
mod rules;

use crate::testing::World;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Sequences of each of the eight parts.
const COUNT: u64 = 1250;

/// Everything there is, left alone for so many seconds, comes to rest or says why not.
const QUIET: u64 = 1200;

fn play(seed: u64, loud: bool) {
    let mut world = World::new(seed, 0, 0.0);
    world.keep_events = false;
    world.rough_probes = true;
    world.check = Some(rules::after_input);
    let mut player = actions::Player::new(world, loud);
    let count = 6 + player.world.dice.below(14);
    for _ in 0..count {
        player.act();
        let seconds = player.world.dice.below(12);
        player.world.run(seconds);
        rules::nothing_doubled(&player.world);
    }
    player.heal();
    let mut rest = rules::at_rest(&player.world);
    for _ in 0..QUIET / 5 {
        if rest.is_ok() {
            break;
        }
        player.world.run(5);
        rest = rules::at_rest(&player.world);
    }
    assert_eq!(rest, Ok(()));
}

fn part(first: u64) {
    if let Some(seed) = number("DAIS_SIMULATION_SEED") {
        return play(seed, true);
    }
    for seed in first..first + number("DAIS_SIMULATION_COUNT").unwrap_or(COUNT) {
        let result = catch_unwind(AssertUnwindSafe(|| play(seed, false)));
        assert!(result.is_ok(), "play it again with DAIS_SIMULATION_SEED={seed}");
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn random_lives_1() {
    part(0);
}

#[test]
fn random_lives_2() {
    part(1_000_000);
}

#[test]
fn random_lives_3() {
    part(2_000_000);
}

#[test]
fn random_lives_4() {
    part(3_000_000);
}

#[test]
fn random_lives_5() {
    part(4_000_000);
}

#[test]
fn random_lives_6() {
    part(5_000_000);
}

#[test]
fn random_lives_7() {
    part(6_000_000);
}

#[test]
fn random_lives_8() {
    part(7_000_000);
}
