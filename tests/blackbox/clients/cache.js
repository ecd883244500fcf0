// Restores and saves a cache; what is expected of it comes in the inputs.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as cache from '@actions/cache';
import * as core from '@actions/core';

async function main() {
  // what is cached belongs to an entry's version, so it is named as authors name it: relative to the workspace
  process.chdir(process.env.GITHUB_WORKSPACE);
  const root = 'cached';
  // the older service, which clients use where they are told of no newer one
  if (core.getInput('older')) delete process.env.ACTIONS_CACHE_SERVICE_V2;
  const lines = (name) => core.getInput(name).split(' ').filter(Boolean);
  for (const key of lines('save')) {
    mkdirSync(root, { recursive: true });
    writeFileSync(join(root, 'text'), `made under ${key}\n${randomBytes(Number(core.getInput('size') || 1)).toString('base64')}\n`);
    const id = await cache.saveCache([root], key);
    core.info(`saved ${key}: ${id > 0}`);
  }
  const [key, ...restore] = lines('restore');
  if (key) {
    rmSync(root, { recursive: true, force: true });
    const found = await cache.restoreCache([root], key, restore);
    const text = found ? readFileSync(join(root, 'text'), 'utf8').split('\n')[0] : 'nothing';
    core.info(`restored ${found ?? 'nothing'}: ${text}`);
  }
}

main().catch((error) => core.setFailed(error));
