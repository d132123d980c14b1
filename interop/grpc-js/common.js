// What both programs share: the services, limits, messages.
'use strict';

const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const loaded = grpc.loadPackageDefinition(
  protoLoader.loadSync(['grpc/testing/test.proto', 'test_service.proto'], {
    includeDirs: [path.join(__dirname, '..', '..', 'testdata', 'protos')],
    keepCase: true,
    defaults: true,
    enums: String,
    longs: Number,
  }),
);

const OPTIONS = {
  'grpc.max_receive_message_length': 16 << 20,
  'grpc.max_send_message_length': 16 << 20,
};

const ECHO_INITIAL = 'x-grpc-test-echo-initial';
const ECHO_TRAILING = 'x-grpc-test-echo-trailing-bin';

function payload(size) {
  return { body: Buffer.alloc(size) };
}

function bodySize(message) {
  return message.payload ? message.payload.body.length : 0;
}

function isAddress(text) {
  return /^.+:\d+$/.test(text);
}

function usage(program, text) {
  console.error(`${program}: ${text}`);
  process.exit(2);
}

module.exports = {
  ECHO_INITIAL,
  ECHO_TRAILING,
  OPTIONS,
  bodySize,
  example: loaded.example,
  grpc,
  isAddress,
  payload,
  testing: loaded.grpc.testing,
  usage,
};
