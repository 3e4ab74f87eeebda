// The stock client, watched. This is the only file that knows the inner names of sockjs-client 1.6.1.
//
// The client calls its own methods through `this`, so a subclass sees each frame before the client judges it, each
// transport it tries, and the `/info` request that precedes them. What leaves is seen where a transport hands it to
// the browser: that shows the real batches. Where an inner name is missing, less is seen and nothing breaks.

/** A subclass of `SockJS` that tells `watcher` what happens; made late, so that a page without the client can say so. */
export function observedClass(SockJS) {
  return class ObservedSockJS extends SockJS {
    #watcher;
    #watched = null;

    constructor(url, options, watcher) {
      super(url, null, options);
      this.#watcher = watcher;
    }

    _receiveInfo(info, rtt) {
      this.#watcher.onInfo(info ?? null, rtt);
      return super._receiveInfo(info, rtt);
    }

    _connect() {
      super._connect();
      const transport = this._transport;
      if (!transport || transport === this.#watched) return;
      this.#watched = transport;
      this.#watcher.onAttempt(transport.transportName, transport.windowId ?? null);
      watchSending(transport, (text) => this.#watcher.onSent(text));
      watchReceivers(transport, () => this.#watcher.onReceiver());
      expectLateScript(transport);
    }

    _transportMessage(frame) {
      this.#watcher.onFrame(frame);
      return super._transportMessage(frame);
    }

    _transportClose(code, reason) {
      if (this.readyState === SockJS.CONNECTING)
        this.#watcher.onAttemptFailed(this.#watched?.transportName, code, reason);
      return super._transportClose(code, reason);
    }
  };
}

function watchSending(transport, onSent) {
  if (transport.ws) {
    before(transport.ws, 'send', (text) => onSent(text));
  } else if (typeof transport.sender === 'function') {
    before(transport, 'sender', (_url, batch) => onSent(batch));
  } else {
    // Inside a frame the batches are made out of sight; each message is seen on its way in.
    before(transport, 'send', (quoted) => onSent(`[${quoted}]`));
  }
}

function watchReceivers(transport, onReceiver) {
  // Transports without a poller have one receiver (a WebSocket), or theirs are counted from the frame's timings.
  onReceiver();
  if (transport.poll) before(transport.poll, '_scheduleReceiver', () => onReceiver());
}

/** A script tag cannot be called back: when a poll by JSONP is given up, its late answer still calls its function. */
function expectLateScript(transport) {
  if (transport.transportName !== 'jsonp-polling') return;
  const close = transport.close;
  transport.close = function closed() {
    const id = this.poll?.poll?.id;
    close.call(this);
    const callbacks = globalThis._jp;
    if (!id || !callbacks || callbacks[id]) return;
    callbacks[id] = () => delete callbacks[id];
  };
}

function before(target, name, watch) {
  const original = target[name];
  if (typeof original !== 'function') return;
  target[name] = function watched(...values) {
    watch(...values);
    return original.apply(this, values);
  };
}
