// Limits that Inferwire has on purpose. What is planned is an open requirement instead.

/** One thing that nobody may count on. */
export interface Limit {
  /** Pages name it beside what they deny. */
  readonly id: string
  /** One sentence. */
  readonly text: string
}

/** See the file's first line. */
export const LIMITS: readonly Limit[] = [
  { id: 'L-QOS-0', text: 'Nothing is promised for a request of QoS 0.' },
  { id: 'L-ONCE', text: 'A request may be executed more than once.' },
  { id: 'L-ORDER', text: 'The requests of one client may be answered in any order.' },
  { id: 'L-AWAY', text: 'A client that goes away without a session gets no reply.' },
  { id: 'L-MODEL', text: 'A model may not be there when it is asked.' },
  { id: 'L-BROKER', text: 'What the broker drops or forgets is lost.' },
  {
    id: 'L-KILLED',
    text: 'A request under way in three unclean ends in a row is set aside, whoever caused them.',
  },
  { id: 'L-POWER', text: 'What the kernel had not written to the disk is lost with the power.' },
  { id: 'L-SECRECY', text: 'The broker sees the bodies in the clear.' },
]
