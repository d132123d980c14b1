// The client.
'use strict';

const { parseArgs } = require('node:util');
const common = require('./common');
const { CASES, Peer } = require('./cases');
const { Failure, oneReply, reasonOf } = require('./calls');

const LIMIT_SECONDS = 30;

// Besides the calls' own deadlines: a case may be stuck in other ways than in a call.
function limit() {
  return new Promise((_, reject) => {
    const late = () => reject(new Failure(`not done after ${LIMIT_SECONDS} s`));
    setTimeout(late, (LIMIT_SECONDS + 1) * 1000).unref();
  });
}

async function runCase(address, name) {
  const peer = new Peer(address, LIMIT_SECONDS);
  try {
    await Promise.race([CASES[name](peer), limit()]);
  } catch (error) {
    console.log(`FAIL ${name}: ${reasonOf(error)}`);
    return false;
  } finally {
    peer.close();
  }
  console.log(`ok ${name}`);
  return true;
}

async function runCases(address, names) {
  let failed = 0;
  for (const name of names) {
    if (!(await runCase(address, name))) failed += 1;
  }
  return failed === 0;
}

async function ask(address, caller) {
  const credentials = common.grpc.credentials.createInsecure();
  const client = new common.example.TestService(address, credentials, common.OPTIONS);
  const request = { request1: `${caller}-request1`, request2: `${caller}-request2` };
  const deadline = Date.now() + LIMIT_SECONDS * 1000;
  try {
    const { reply } = await oneReply((done) => client.method(request, { deadline }, done));
    console.log(reply.result1);
    console.log(reply.result2);
    return true;
  } catch (error) {
    console.error(`client: ${reasonOf(error)}`);
    return false;
  }
}

function readArguments() {
  const text = { type: 'string' };
  let values;
  try {
    ({ values } = parseArgs({ options: { connect: text, case: text, as: text } }));
  } catch (error) {
    common.usage('client', error.message);
  }
  if (values.connect === undefined || !common.isAddress(values.connect)) {
    common.usage('client', '--connect HOST:PORT is needed');
  }
  if ((values.case === undefined) === (values.as === undefined)) {
    common.usage('client', 'either --case CASE[,CASE...] or --as CALLER is needed');
  }
  if (values.as !== undefined) return { address: values.connect, caller: values.as };
  const names = values.case === 'all' ? Object.keys(CASES) : values.case.split(',');
  const unknown = names.find((name) => !Object.hasOwn(CASES, name));
  if (unknown !== undefined) common.usage('client', `no such case: ${unknown}`);
  return { address: values.connect, names };
}

async function main() {
  const { address, names, caller } = readArguments();
  const done = names ? await runCases(address, names) : await ask(address, caller);
  // Not left to run dry: a connection that does not close would keep the process.
  process.exit(done ? 0 : 1);
}

main();
