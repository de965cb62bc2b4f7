/** Somebody else's tables, case by case: those of the documents. */
import { test } from 'node:test';
import { LOADED_CASES, SET_ASIDE_CASES } from './cases.ts';
import { playLoaded, playRefused, playSetAside } from './play-case.ts';
import { REFUSED_CASES } from './refused-cases.ts';

for (const loaded of LOADED_CASES) {
  void test(`a table with ${loaded.what} is loaded, and updated later`, (t) => playLoaded(t, loaded));
}

for (const setAside of SET_ASIDE_CASES) {
  void test(`a table with ${setAside.what} is loaded, and what it refuses is set aside`, (t) =>
    playSetAside(t, setAside));
}

for (const refused of REFUSED_CASES) {
  void test(`a table with ${refused.what} is refused with 2, and nothing is changed`, (t) => playRefused(t, refused));
}
