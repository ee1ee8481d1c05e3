// Checks that a broker with users does not accept clients without a user name.
import { notChecked, ok, warning, type Check } from '../check.ts'
import { DialFailure, ProbeLink } from '../mqtt/probe-link.ts'
import { probeClientId } from '../probe-topics.ts'

export const accessAnonymous: Check = {
  id: 'access.anonymous',
  title: 'the broker refuses clients without a user name',
  needs: ['broker.protocol'],
  run: async (context) => {
    const side = context.sides.find(({ target }) => target.username !== undefined)
    if (side === undefined) return notChecked('no user name was given')
    try {
      const link = await ProbeLink.open(side.target, {
        clientId: probeClientId(context, 'anonymous'),
        timeoutMs: context.timeoutMs,
        isAnonymous: true,
      })
      await link.close()
    } catch (error) {
      if (error instanceof DialFailure) return ok('The broker refuses clients without a user name.')
      throw error
    }
    return warning(
      'The broker accepts clients without a user name, although the connector or the client has one.',
      'In mosquitto.conf: allow_anonymous false',
    )
  },
}
