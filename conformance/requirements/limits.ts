// Intended limitations of Inferwire. Planned features are open requirements instead.

/** A guarantee that Inferwire does not give. */
export interface Limit {
  /** Pages cite this ID in the mark of a denial. */
  readonly id: string
  /** One sentence. */
  readonly text: string
}

/** Intended limitations. */
export const LIMITS: readonly Limit[] = [
  { id: 'L-QOS-0', text: 'Inferwire guarantees nothing for a QoS 0 request.' },
  { id: 'L-ONCE', text: 'A request may be executed more than once.' },
  { id: 'L-ORDER', text: 'The requests of one client may be answered in any order.' },
  { id: 'L-AWAY', text: 'A client that disconnects without a session gets no reply.' },
  { id: 'L-MODEL', text: 'A model may be unavailable when a request arrives.' },
  { id: 'L-BROKER', text: 'Messages that the broker drops or forgets are lost.' },
  {
    id: 'L-KILLED',
    text: 'A request in flight at three successive crashes is set aside, whatever the cause of the crashes.',
  },
  { id: 'L-POWER', text: 'Data that the kernel has not written to the disk is lost in a power failure.' },
  { id: 'L-SECRECY', text: 'The broker can read the bodies.' },
]
