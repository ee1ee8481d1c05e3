// Runs each configured model once with the example of its card; only with --sample.
import { Problem } from '@inferwire/protocol'
import { fault, notChecked, ok, warning, type Check } from '../check.ts'
import { printable } from '../../table.ts'
import { factsOf, forEachModel } from './each-model.ts'

export const modelsSample: Check = {
  id: 'models.sample',
  title: 'each configured model answers the example of its card',
  needs: ['models.metadata?'],
  run: async (context, signal) => {
    const { config, runsSamples } = context
    if (!runsSamples) return notChecked('it would run the models; add --sample')
    if ('missing' in config) return notChecked(config.missing)
    const findings = await forEachModel(context, async (name, _model, probe) => {
      const facts = factsOf(context, name)
      if (facts === undefined) return []
      try {
        const operation = await probe.sample(facts, signal)
        return operation === undefined
          ? [
              warning(
                `Model "${name}" has no example.`,
                `Add models.${name}.example with operation and body.`,
              ),
            ]
          : [ok(`The model "${name}" answers its example (${operation}).`)]
      } catch (error) {
        const { code, message, detail } = Problem.from(error)
        return [
          fault(
            `Model "${name}" does not answer its example: ${printable(message)}${detail === undefined ? '' : ` (${printable(detail)})`}`,
            code === 'deadline_exceeded'
              ? 'Give the check more time with -t SECONDS, or look at the log of the model server.'
              : `Correct models.${name}.example, or look at the log of the model server.`,
          ),
        ]
      }
    })
    return findings.length > 0 ? findings : notChecked('no model has answered')
  },
}
