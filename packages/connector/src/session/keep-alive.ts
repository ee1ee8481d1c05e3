// Sends PINGREQ and detects a broker that has stopped sending (MQTT 5 §3.1.2.10).

/** The functions of the connection that keep-alive calls. */
export interface KeepAliveLink {
  ping(): void
  /** Called when the broker has sent nothing for 1.5 times the Keep Alive interval. */
  silent(silentMs: number): void
}

/** Watches one connection. Does nothing if the Keep Alive is 0 seconds. */
export class KeepAlive {
  readonly #timer: NodeJS.Timeout | undefined
  #lastReceivedMs = performance.now()
  #lastSilentMs = 0

  constructor(seconds: number, link: KeepAliveLink) {
    if (seconds === 0) return
    const intervalMs = seconds * 1000
    // Pings at half the interval even while other packets are sent, because only the response shows that the broker
    // still reads.
    this.#timer = setInterval(() => {
      const silentMs = performance.now() - this.#lastReceivedMs
      // If this process was frozen (SIGSTOP, a suspended machine), the first check after the freeze finds a long
      // silence that the broker did not cause. The connection is therefore ended only if the next check finds the
      // silence too.
      if (silentMs > intervalMs * 1.5 && this.#lastSilentMs > intervalMs * 0.5) link.silent(silentMs)
      else link.ping()
      this.#lastSilentMs = silentMs
    }, intervalMs / 2)
  }

  /** Records that bytes have arrived. */
  received(nowMs: number): void {
    this.#lastReceivedMs = nowMs
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
