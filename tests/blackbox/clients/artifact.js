// Uploads, lists, downloads and deletes artifacts, as any published action does.
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as artifacts from '@actions/artifact';
import * as core from '@actions/core';

function check(holds, what) {
  if (!holds) throw new Error(`does not hold: ${what}`);
}

const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');

async function main() {
  const client = new artifacts.DefaultArtifactClient();
  const root = join(process.env.RUNNER_TEMP, 'clients');
  mkdirSync(join(root, 'deep'), { recursive: true });
  writeFileSync(join(root, 'a.txt'), 'one');
  writeFileSync(join(root, 'deep/b.txt'), 'two');
  const big = randomBytes(40 << 20);
  writeFileSync(join(root, 'big.bin'), big);
  writeFileSync(join(root, 'page.html'), '<p>hello</p>');

  const small = await client.uploadArtifact('small', [join(root, 'a.txt'), join(root, 'deep/b.txt')], root, { retentionDays: 3 });
  check(small.id > 0 && small.size > 0 && /^[0-9a-f]{64}$/.test(small.digest), JSON.stringify(small));
  // several at once, one of them in many blocks
  const [large] = await Promise.all([
    client.uploadArtifact('large', [join(root, 'big.bin')], root, { compressionLevel: 0 }),
    ...[1, 2, 3].map((n) => client.uploadArtifact(`many-${n}`, [join(root, 'a.txt')], root)),
  ]);
  check(large.size > big.length, 'the zip holds the file');
  await client.uploadArtifact('page.html', [join(root, 'page.html')], root, { skipArchive: true });

  const again = await client.uploadArtifact('small', [join(root, 'a.txt')], root).catch((error) => error);
  check(/already exists on the workflow run/.test(again.message), `a name is taken: ${again.message}`);

  const { artifacts: listed } = await client.listArtifacts();
  check(listed.map((a) => a.name).sort().join() === 'built,large,many-1,many-2,many-3,page.html,small', JSON.stringify(listed));
  const { artifact: found } = await client.getArtifact('large');
  check(found.id === large.id && found.digest === `sha256:${large.digest}`, JSON.stringify(found));

  const back = join(root, 'back');
  const got = await client.downloadArtifact(found.id, { path: back, expectedHash: `sha256:${large.digest}` });
  check(!got.digestMismatch && digest(readFileSync(join(back, 'big.bin'))) === digest(big), 'the large file is as it was');
  await client.downloadArtifact(small.id, { path: back });
  check(readFileSync(join(back, 'deep/b.txt'), 'utf8') === 'two', 'the small file is as it was');
  // what the built-in action has uploaded
  const built = await client.getArtifact('built');
  await client.downloadArtifact(built.artifact.id, { path: join(back, 'built') });
  check(readFileSync(join(back, 'built/from-run.txt'), 'utf8') === 'built in\n', 'the built-in upload');
  const page = await client.getArtifact('page.html');
  await client.downloadArtifact(page.artifact.id, { path: back });
  check(readFileSync(join(back, 'page.html'), 'utf8') === '<p>hello</p>', 'one file as it was');

  await client.deleteArtifact('many-2');
  const gone = await client.getArtifact('many-2').catch((error) => error);
  check(/not found/i.test(gone.message), `deleted: ${gone.message}`);
  check(process.env.GITHUB_SERVER_URL.startsWith('http://127.0.0.1'), 'the address of the server is shown as it is');
  core.setOutput('large', large.digest);
  core.info('artifacts: all good');
}

main().catch((error) => core.setFailed(error));
