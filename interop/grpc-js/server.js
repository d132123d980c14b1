// The server. grpc-js does not compress responses (README.md).
'use strict';

const { once } = require('node:events');
const { parseArgs } = require('node:util');
const { setTimeout: pause } = require('node:timers/promises');
const common = require('./common');

const { ECHO_INITIAL, ECHO_TRAILING, bodySize, grpc, payload } = common;
const CALLERS = ['java', 'py', 'rust', 'go', 'node'];

function echoed(call) {
  const initial = new grpc.Metadata();
  const trailing = new grpc.Metadata();
  for (const value of call.metadata.get(ECHO_INITIAL)) initial.add(ECHO_INITIAL, value);
  for (const value of call.metadata.get(ECHO_TRAILING)) trailing.add(ECHO_TRAILING, value);
  return { initial, trailing };
}

function statusAsked(request, metadata) {
  const status = request.response_status;
  if (!status || status.code === 0) return null;
  const code = grpc.status[status.code] === undefined ? grpc.status.UNKNOWN : status.code;
  return { code, details: status.message, metadata };
}

function unaryCall(call, callback) {
  const { initial, trailing } = echoed(call);
  call.sendMetadata(initial);
  const status = statusAsked(call.request, trailing);
  if (status) callback(status);
  else callback(null, { payload: payload(call.request.response_size) }, trailing);
}

// Aborted when the client is gone, so that no pause and no full buffer is waited for in vain.
function goneSignal(call) {
  const gone = new AbortController();
  for (const event of ['cancelled', 'close', 'error']) call.on(event, () => gone.abort());
  return gone.signal;
}

async function sendResponses(call, request, signal) {
  for (const { size, interval_us: interval } of request.response_parameters) {
    if (interval > 0) await pause(interval / 1000, undefined, { signal });
    signal.throwIfAborted();
    if (!call.write({ payload: payload(size) })) await once(call, 'drain', { signal });
  }
}

function streamingOutputCall(call) {
  const signal = goneSignal(call);
  sendResponses(call, call.request, signal).then(
    () => {
      const status = statusAsked(call.request);
      if (status) call.emit('error', status);
      else call.end();
    },
    (error) => {
      if (!signal.aborted) call.emit('error', error);
    },
  );
}

function streamingInputCall(call, callback) {
  let sum = 0;
  call.on('data', (request) => {
    sum += bodySize(request);
  });
  call.on('end', () => callback(null, { aggregated_payload_size: sum }));
}

function fullDuplexCall(call) {
  const { initial, trailing } = echoed(call);
  call.sendMetadata(initial);
  const signal = goneSignal(call);
  // One request at a time and in order; the end may be seen while the last is still answered.
  let answered = Promise.resolve();
  const fail = (error) => {
    if (!signal.aborted) call.emit('error', error);
  };
  call.on('data', (request) => {
    call.pause();
    answered = answered.then(async () => {
      await sendResponses(call, request, signal);
      const status = statusAsked(request, trailing);
      if (status) throw status;
      call.resume();
    });
    answered.catch(fail);
  });
  call.on('end', () => answered.then(() => call.end(trailing), () => {}));
}

// UnimplementedCall and HalfDuplexCall are left out: grpc-js answers UNIMPLEMENTED for them.
const test = {
  EmptyCall: (call, callback) => callback(null, {}),
  UnaryCall: unaryCall,
  CacheableUnaryCall: unaryCall,
  StreamingOutputCall: streamingOutputCall,
  StreamingInputCall: streamingInputCall,
  FullDuplexCall: fullDuplexCall,
};

const example = {
  method(call, callback) {
    const caller = CALLERS.find((name) => call.request.request1 === `${name}-request1`);
    const text = `res1-${caller}-client->node-server`;
    callback(null, caller ? { result1: text, result2: text } : { result1: 'f1', result2: 'fn1' });
  },
};

function listenAddress() {
  try {
    const { values } = parseArgs({ options: { listen: { type: 'string' } } });
    if (values.listen !== undefined && common.isAddress(values.listen)) return values.listen;
  } catch (error) {
    common.usage('server', error.message);
  }
  return common.usage('server', '--listen HOST:PORT is needed');
}

function main() {
  const address = listenAddress();
  const server = new grpc.Server(common.OPTIONS);
  server.addService(common.testing.TestService.service, test);
  server.addService(common.example.TestService.service, example);
  server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) {
      console.error(`server: cannot listen on ${address}: ${error.message}`);
      process.exit(1);
    }
    console.log(`listening on ${address.slice(0, address.lastIndexOf(':'))}:${port}`);
    for (const event of ['end', 'error']) process.stdin.on(event, () => process.exit(0));
    process.stdin.resume();
  });
}

main();
