// Sends PINGREQ and notices a broker that fell silent (MQTT 5 §3.1.2.10).

/** What keep-alive does to its connection. */
export interface KeepAliveLink {
  ping(): void
  /** The broker sent nothing for one and a half times the Keep Alive. */
  silent(silentMs: number): void
}

/** Watches one connection. A Keep Alive of 0 seconds turns it off. */
export class KeepAlive {
  readonly #timer: NodeJS.Timeout | undefined
  #lastReceivedMs = performance.now()
  #lastSilentMs = 0

  constructor(seconds: number, link: KeepAliveLink) {
    if (seconds === 0) return
    const intervalMs = seconds * 1000
    // Pings at half the interval also where we send enough ourselves: the answer shows that the broker still reads.
    this.#timer = setInterval(() => {
      const silentMs = performance.now() - this.#lastReceivedMs
      // After a freeze of this process (SIGSTOP, a suspended machine) the first look would see a long silence that
      // only we caused: it gets one more interval.
      if (silentMs > intervalMs * 1.5 && this.#lastSilentMs > intervalMs * 0.5) link.silent(silentMs)
      else link.ping()
      this.#lastSilentMs = silentMs
    }, intervalMs / 2)
  }

  /** Bytes came. */
  received(nowMs: number): void {
    this.#lastReceivedMs = nowMs
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
