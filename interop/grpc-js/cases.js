// The interop cases.
'use strict';

const common = require('./common');
const { Replies, check, checkEqual, expectError, oneReply } = require('./calls');

const { ECHO_INITIAL, ECHO_TRAILING, bodySize, grpc, payload, testing } = common;

const BIG = (4 << 20) - 64; // The whole message, with its tags and lengths, stays under 4 MiB.
const MANY = 10000;
const STATUS_MESSAGE = 'test status message';
const SPECIAL_STATUS_MESSAGE =
  '\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \u{1f608}\t\n';
const YES = { value: true };

// A server under test, and the time one case may take.
class Peer {
  constructor(address, seconds) {
    this.address = address;
    this.deadline = Date.now() + seconds * 1000;
    this._clients = [];
    this.test = this.client(testing.TestService);
    this.absent = this.client(testing.UnimplementedService);
  }

  client(Service, options) {
    const credentials = grpc.credentials.createInsecure();
    const client = new Service(this.address, credentials, { ...common.OPTIONS, ...options });
    this._clients.push(client);
    return client;
  }

  close() {
    for (const client of this._clients) client.close();
  }

  unary(request, { client = this.test, method = 'UnaryCall', metadata = new grpc.Metadata() } = {}) {
    const options = { deadline: this.deadline };
    return oneReply((done) => client[method](request, metadata, options, done));
  }

  duplex({ client = this.test, metadata = new grpc.Metadata(), deadline = this.deadline } = {}) {
    return new Replies(client.FullDuplexCall(metadata, { deadline }));
  }
}

function outputRequest(size, responseSizes, parameters) {
  return {
    payload: payload(size),
    response_parameters: responseSizes.map((wanted) => ({ size: wanted, ...parameters })),
  };
}

async function emptyUnary(peer) {
  const { reply } = await peer.unary({}, { method: 'EmptyCall' });
  checkEqual(reply, {}, 'reply');
}

async function unaryOf(peer, size, responseSize) {
  const { reply } = await peer.unary({ payload: payload(size), response_size: responseSize });
  checkEqual(bodySize(reply), responseSize, 'size');
}

async function inputSum(peer, sizes) {
  const { reply } = await oneReply((done) => {
    const call = peer.test.StreamingInputCall({ deadline: peer.deadline }, done);
    for (const size of sizes) call.write({ payload: payload(size) });
    call.end();
    return call;
  });
  const sum = sizes.reduce((total, size) => total + size, 0);
  checkEqual(reply.aggregated_payload_size, sum, 'sum');
}

async function outputSizes(peer, sizes) {
  const request = outputRequest(0, sizes);
  const replies = new Replies(
    peer.test.StreamingOutputCall(request, { deadline: peer.deadline }),
  );
  checkEqual((await replies.all()).map(bodySize), sizes, 'sizes');
}

async function nextSize(replies, wanted) {
  const reply = await replies.next();
  check(reply !== undefined, 'the replies ended early');
  checkEqual(bodySize(reply), wanted, 'size');
}

async function pingPong(peer) {
  const replies = peer.duplex();
  for (const [size, wanted] of [[27182, 31415], [8, 9], [1828, 2653], [45904, 58979]]) {
    replies.call.write(outputRequest(size, [wanted]));
    await nextSize(replies, wanted);
  }
  replies.call.end();
  checkEqual(await replies.all(), [], 'replies after the last');
}

async function emptyStream(peer) {
  const replies = peer.duplex();
  replies.call.end();
  checkEqual(await replies.all(), [], 'replies');
}

async function customMetadata(peer) {
  const metadata = new grpc.Metadata();
  const value = 'test_initial_metadata_value';
  metadata.set(ECHO_INITIAL, value);
  metadata.set(ECHO_TRAILING, Buffer.from('ababab', 'hex'));
  const checkEcho = ({ initial, trailing }) => {
    checkEqual(initial && initial.get(ECHO_INITIAL), [value], 'initial');
    const echoed = trailing.get(ECHO_TRAILING).map((bytes) => bytes.toString('hex'));
    checkEqual(echoed, ['ababab'], 'trailing');
  };
  const request = { payload: payload(271828), response_size: 314159 };
  const result = await peer.unary(request, { metadata });
  checkEqual(bodySize(result.reply), 314159, 'size');
  checkEcho(result);
  const replies = peer.duplex({ metadata });
  replies.call.write(outputRequest(271828, [314159]));
  replies.call.end();
  checkEqual((await replies.all()).map(bodySize), [314159], 'sizes');
  checkEcho(replies);
}

async function statusCodeAndMessage(peer) {
  const request = { response_status: { code: 2, message: STATUS_MESSAGE } };
  await expectError(peer.unary(request), 2, STATUS_MESSAGE);
  const replies = peer.duplex();
  replies.call.write(request);
  replies.call.end();
  await expectError(replies.all(), 2, STATUS_MESSAGE);
}

async function specialStatusMessage(peer) {
  const request = { response_status: { code: 2, message: SPECIAL_STATUS_MESSAGE } };
  await expectError(peer.unary(request), 2, SPECIAL_STATUS_MESSAGE);
}

async function unimplemented(peer, client) {
  const call = peer.unary({}, { client, method: 'UnimplementedCall' });
  await expectError(call, grpc.status.UNIMPLEMENTED);
}

async function cancelAfterBegin(peer) {
  // A connection first, and time for the headers to leave: a call that never left the client
  // proves nothing about the server.
  await emptyUnary(peer);
  let call;
  const ended = oneReply((done) => {
    call = peer.test.StreamingInputCall({ deadline: peer.deadline }, done);
    return call;
  });
  setTimeout(() => call.cancel(), 20);
  await expectError(ended, grpc.status.CANCELLED);
  await emptyUnary(peer);
}

async function cancelAfterFirstResponse(peer) {
  const replies = peer.duplex();
  replies.call.write(outputRequest(27182, [31415]));
  await nextSize(replies, 31415);
  replies.call.cancel();
  await expectError(replies.next(), grpc.status.CANCELLED);
}

async function timeoutOnSleepingServer(peer) {
  // A connection first, or else the deadline would pass while connecting.
  await emptyUnary(peer);
  const replies = peer.duplex({ deadline: Date.now() + 1 });
  // The stream stays open and the reply is far off, so only the deadline can end the call.
  replies.call.write(outputRequest(27182, [31415], { interval_us: 5000000 }));
  await expectError(replies.all(), grpc.status.DEADLINE_EXCEEDED);
}

async function manyMessages(peer) {
  const sizes = new Array(MANY).fill(8);
  const replies = peer.duplex();
  for (let sent = 0; sent < MANY; sent += 1) replies.call.write(outputRequest(0, [8]));
  replies.call.end();
  checkEqual((await replies.all()).map(bodySize), sizes, 'sizes');
  await inputSum(peer, sizes);
  await outputSizes(peer, sizes);
}

async function gzip(peer) {
  const size = 100000;
  // grpc-js gives up compression for a channel whose server separates the encodings it accepts
  // by comma and space, hence a channel for each call.
  const compressing = () =>
    peer.client(testing.TestService, {
      'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip,
    });
  const { reply } = await peer.unary(
    {
      payload: payload(size),
      response_size: size,
      response_compressed: YES,
      expect_compressed: YES,
    },
    { client: compressing() },
  );
  checkEqual(bodySize(reply), size, 'size');
  const replies = peer.duplex({ client: compressing() });
  for (let sent = 0; sent < 3; sent += 1) {
    replies.call.write(outputRequest(size, [size], { compressed: YES }));
  }
  replies.call.end();
  checkEqual((await replies.all()).map(bodySize), [size, size, size], 'sizes');
}

const CASES = {
  empty_unary: emptyUnary,
  large_unary: (peer) => unaryOf(peer, 271828, 314159),
  client_streaming: (peer) => inputSum(peer, [27182, 8, 1828, 45904]),
  server_streaming: (peer) => outputSizes(peer, [31415, 9, 2653, 58979]),
  ping_pong: pingPong,
  empty_stream: emptyStream,
  custom_metadata: customMetadata,
  status_code_and_message: statusCodeAndMessage,
  special_status_message: specialStatusMessage,
  unimplemented_method: (peer) => unimplemented(peer, peer.test),
  unimplemented_service: (peer) => unimplemented(peer, peer.absent),
  cancel_after_begin: cancelAfterBegin,
  cancel_after_first_response: cancelAfterFirstResponse,
  timeout_on_sleeping_server: timeoutOnSleepingServer,
  big_unary: (peer) => unaryOf(peer, BIG, BIG),
  many_messages: manyMessages,
  gzip,
};

module.exports = { CASES, Peer };
