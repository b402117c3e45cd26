import fc from 'fast-check';

// Loaded into every test process: a run of the suite is the same run every time, so that a failure is one of the
// change under test. SWARMD_TEST_SEED=random looks further, a number repeats what such a run has found.
const wanted = process.env['SWARMD_TEST_SEED'] ?? '20261';
if (wanted !== 'random') fc.configureGlobal({ seed: Number(wanted) });
