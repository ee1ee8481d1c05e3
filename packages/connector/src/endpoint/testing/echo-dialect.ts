// A dialect that no server speaks: all that a new one needs is its entry in the table. Import it before the others.
import { DIALECTS, type Dialect, type DialectKind } from '@inferwire/protocol'

/** The name of the dialect, as a configuration would say it. */
export const ECHO = 'echo' as Dialect

const echo: DialectKind = {
  title: 'Echo',
  defaultOperation: 'infer',
  hasBinaryTensors: false,
  routes: {
    infer: { method: 'POST', path: '/echo/{model}' },
    metadata: { method: 'GET', path: '/echo/{model}/about' },
  },
}

Object.assign(DIALECTS, { [ECHO]: echo })
