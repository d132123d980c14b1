// Calls as promises, and the checks made on them.
'use strict';

class Failure extends Error {}

function check(condition, reason) {
  if (!condition) throw new Failure(reason);
}

function checkEqual(found, wanted, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  check(a === b, `${what}: ${a} instead of ${b}`);
}

// A call whose reply is one message: resolves to the reply with the call's metadata. `start` is
// given the callback and returns the call.
function oneReply(start) {
  return new Promise((resolve, reject) => {
    const result = {};
    let outcome;
    const call = start((error, reply) => {
      outcome = () => (error ? reject(error) : resolve(Object.assign(result, { reply })));
      if (result.trailing) outcome();
    });
    call.on('metadata', (metadata) => {
      result.initial = metadata;
    });
    // Whichever comes last, the callback or the status, completes the result.
    call.on('status', (status) => {
      result.trailing = status.metadata;
      if (outcome) outcome();
    });
  });
}

// The replies of a streaming call, one after the other.
class Replies {
  constructor(call) {
    this.call = call;
    this.initial = undefined;
    this.trailing = undefined;
    this._queue = [];
    this._end = undefined;
    this._wake = () => {};
    call.on('metadata', (metadata) => {
      this.initial = metadata;
    });
    call.on('data', (reply) => {
      this._queue.push(reply);
      this._wake();
    });
    // The status is the end; the error event that may follow only repeats it.
    call.on('error', () => {});
    call.on('status', (status) => {
      this.trailing = status.metadata;
      this._end = status;
      this._wake();
    });
  }

  // The next reply, or undefined after the last; rejects with the status if it is not OK.
  async next() {
    while (this._queue.length === 0) {
      if (this._end) {
        if (this._end.code === 0) return undefined;
        throw Object.assign(new Error(this._end.details), this._end);
      }
      await new Promise((resolve) => {
        this._wake = resolve;
      });
    }
    return this._queue.shift();
  }

  async all() {
    const replies = [];
    for (let reply = await this.next(); reply; reply = await this.next()) replies.push(reply);
    return replies;
  }
}

async function expectError(promise, code, details) {
  let error;
  try {
    await promise;
  } catch (caught) {
    error = caught;
  }
  check(error !== undefined, `status OK instead of code ${code}`);
  check(error.code === code, `code ${error.code} (${error.details || error}) instead of ${code}`);
  if (details !== undefined) checkEqual(error.details, details, 'status message');
}

// One line, not too long, whatever went wrong.
function reasonOf(error) {
  const text =
    typeof error.code === 'number' ? `RPC ended with ${error.code}: ${error.details}` : error.message;
  return String(text).replace(/[\r\n]+/g, ' ').slice(0, 300);
}

module.exports = { Failure, Replies, check, checkEqual, expectError, oneReply, reasonOf };
