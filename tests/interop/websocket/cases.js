// What the programs in this folder share: each case is a line, and the last line counts them.
'use strict';

const PATIENCE = 100_000;

async function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} does not come`)), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function runAll(cases) {
  let passed = 0, failed = 0;
  for (const [name, run] of Object.entries(cases)) {
    try {
      await within(run(), 'its end');
      passed++;
      console.log(`ok      ${name}`);
    } catch (error) {
      failed++;
      console.log(`not ok  ${name}: ${error.stack}`);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

module.exports = { PATIENCE, within, runAll };
