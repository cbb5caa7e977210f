// The ordinary in-cluster program that a user would write with @kubernetes/client-node.
// tests/clients/README.md says what it is asked to do.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  AuthenticationV1Api,
  CoreV1Api,
  Exec,
  KubeConfig,
  makeInformer,
  PatchStrategy,
  setHeaderOptions,
} from '@kubernetes/client-node';

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount/';

const kubeConfig = new KubeConfig();
const namespace = () => readFileSync(`${SERVICE_ACCOUNT}namespace`, 'utf8').trim();
const report = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

/** A ConfigMap's life. */
async function crud() {
  const api = kubeConfig.makeApiClient(CoreV1Api);
  const here = namespace();

  const created = await api.createNamespacedConfigMap({
    namespace: here,
    body: { metadata: { generateName: 'crud-', labels: { 'made-by': 'crud' } }, data: { step: 'create' } },
  });
  const { name } = created.metadata;
  assert.ok(name.startsWith('crud-'), `create: ${name}`);
  assert.deepEqual(created.data, { step: 'create' }, 'create');
  report({ step: 'create' });

  const got = await api.readNamespacedConfigMap({ name, namespace: here });
  assert.deepEqual(got, created, 'get');
  report({ step: 'get' });

  const listed = await api.listNamespacedConfigMap({ namespace: here, labelSelector: 'made-by=crud' });
  const found = listed.items.filter((item) => item.metadata.name === name);
  assert.deepEqual(found.map((item) => item.data), [{ step: 'create' }], 'list');
  report({ step: 'list' });

  got.data = { step: 'update' };
  const updated = await api.replaceNamespacedConfigMap({ name, namespace: here, body: got });
  assert.deepEqual(updated.data, { step: 'update' }, 'update');
  assert.notEqual(updated.metadata.resourceVersion, created.metadata.resourceVersion, 'update');
  report({ step: 'update' });

  const patched = await api.patchNamespacedConfigMap(
    { name, namespace: here, body: { data: { patched: 'yes' } } },
    setHeaderOptions('Content-Type', PatchStrategy.MergePatch),
  );
  assert.deepEqual(patched.data, { step: 'update', patched: 'yes' }, 'patch');
  report({ step: 'patch' });

  await api.deleteNamespacedConfigMap({ name, namespace: here });
  await assert.rejects(api.readNamespacedConfigMap({ name, namespace: here }), { code: 404 }, 'delete');
  report({ step: 'delete' });
  return { steps: 6 };
}

/** Follows ConfigMaps by the client's informer. */
async function watch({ seconds }) {
  const api = kubeConfig.makeApiClient(CoreV1Api);
  const here = namespace();
  const count = { events: 0, errors: 0, last_error: null };
  const informer = makeInformer(kubeConfig, `/api/v1/namespaces/${here}/configmaps`, () =>
    api.listNamespacedConfigMap({ namespace: here }),
  );
  const seen = (event) => (configMap) => {
    count.events += 1;
    const { name, resourceVersion } = configMap.metadata;
    report({ event, name, resource_version: resourceVersion });
  };
  informer.on('add', seen('applied'));
  informer.on('update', seen('applied'));
  informer.on('delete', seen('deleted'));
  informer.on('error', (error) => {
    count.errors += 1;
    count.last_error = String(error);
    // As its documentation has it: after an error it is for the program to start it again.
    setTimeout(() => informer.start(), 1000).unref();
  });
  const begun = Date.now();
  await informer.start();
  for (let second = 1; second <= seconds; second += 1) {
    await sleep(Math.max(0, begun + second * 1000 - Date.now()));
    report({ second, events: count.events, errors: count.errors });
  }
  const answer = { ...count };
  await informer.stop();
  assert.ok(answer.events > 0, `nothing was seen: ${JSON.stringify(answer)}`);
  return answer;
}

/** What the command prints, and its exit code. */
async function execute(pod, command, stdin) {
  const chunks = [];
  const stdout = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  const { promise, resolve, reject } = deferred();
  const input = stdin === undefined ? null : Readable.from([Buffer.from(stdin)]);
  const socket = await new Exec(kubeConfig).exec(
    namespace(), pod, undefined, command, stdout, null, input, false, resolve,
  );
  socket.on('close', () => reject(new Error(`${command[0]}: the connection ended without a status`)));
  const status = await promise;
  const cause = status.details?.causes?.find(({ reason }) => reason === 'ExitCode');
  const code = status.status === 'Success' ? 0 : Number(cause?.message);
  return { output: Buffer.concat(chunks).toString(), code };
}

function deferred() {
  let resolve;
  let reject;
  const promise = new Promise((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** Commands in another pod. */
async function exec({ pod }) {
  assert.deepEqual(await execute(pod, ['echo', 'hello']), { output: 'hello\n', code: 0 }, 'echo');
  report({ step: 'echo' });

  const text = Array.from({ length: 5000 }, (_, n) => `line ${n}\n`).join('');
  const { output, code } = await execute(pod, ['cat'], text);
  assert.ok(output === text && code === 0, `cat: ${output.length} of ${text.length}, exit code ${code}`);
  report({ step: 'cat' });

  assert.equal((await execute(pod, ['sh', '-c', 'exit 3'])).code, 3, 'exit');
  report({ step: 'exit' });
  return { steps: 3 };
}

async function whoami() {
  const review = await kubeConfig.makeApiClient(AuthenticationV1Api).createSelfSubjectReview({ body: {} });
  const { username, groups } = review.status.userInfo;
  return { username, groups };
}

async function loop({ seconds }) {
  const api = kubeConfig.makeApiClient(CoreV1Api);
  const here = namespace();
  const summary = { requests: 0, failures: 0, last_error: null };
  const end = Date.now() + seconds * 1000;
  let last = null;
  while (Date.now() < end) {
    await sleep(100);
    summary.requests += 1;
    try {
      await api.readNamespacedConfigMap({ name: 'kube-root-ca.crt', namespace: here });
      last = null;
    } catch (error) {
      last = error;
      summary.failures += 1;
      summary.last_error = String(error);
    }
  }
  report(summary);
  assert.equal(last, null, `the last request failed: ${last}`);
  return summary;
}

function readToken() {
  const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
  let token;
  try {
    token = readFileSync(`${SERVICE_ACCOUNT}token`);
  } catch (error) {
    return { readable: false, reason: String(error) };
  }
  return {
    readable: true,
    prefix_sha256: sha256(token.subarray(0, 12)),
    fingerprint: sha256(token).slice(0, 12),
  };
}

const commands = { crud, watch, exec, whoami, loop, 'read-token': readToken };

async function main() {
  const { values, positionals } = parseArgs({
    options: { seconds: { type: 'string' }, pod: { type: 'string' } },
    allowPositionals: true,
  });
  const command = commands[positionals[0]];
  assert.ok(command, `usage: client ${Object.keys(commands).join(' | ')}`);
  if (command !== readToken) kubeConfig.loadFromCluster();
  return command({ seconds: Number(values.seconds), pod: values.pod });
}

try {
  report({ ...(await main()), ok: true });
} catch (error) {
  report({ ok: false, error: String(error?.stack ?? error) });
  process.exitCode = 1;
}
