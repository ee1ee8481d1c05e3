// Declares `inferwire doctor`.
import { Command, Option } from 'commander'
import { addBrokerFlags } from '../broker-flags.ts'
import type { DoctorFlags } from '../doctor/open-context.ts'
import { setExamples } from '../examples.ts'

/** Builds the command. */
export function doctorCommand(): Command {
  const command = new Command('doctor')
    .summary('find out what does not work, and how to correct it')
    .description(
      'Check the configuration, the broker, the access rules, the connector, the models and the cluster; print each fault with its remedy.\n' +
        "With -c, the connector's login is checked too; -u is the login of a client. Test messages use the topics of a model named inferwire_doctor, and nothing stays on the broker.\n" +
        'Exits with 0 if there are no faults, and with 1 otherwise; warnings do not count.',
    )
    .option('-c, --config <FILE>', 'configuration file of the connector, YAML (env: INFERWIRE_CONFIG)')
    .option('--sample', 'also run each configured model once, with the example of its card')
    .optionsGroup('Cluster:')
    .option('-n, --namespace <NAMESPACE>', 'namespace of the InferenceServices; also checks the cluster')
    .option('--kubeconfig <FILE>', 'kubeconfig file; also checks the cluster (env: KUBECONFIG)')
    .option('--context <NAME>', 'context of the kubeconfig file; also checks the cluster')
    .optionsGroup('Options:')
    .addOption(new Option('-o, --output <FORMAT>', 'output format').choices(['json']))
  addBrokerFlags(command, { meaning: 'time limit of each check', shown: '5' }).action(
    async (flags: DoctorFlags) => {
      const { runDoctor } = await import('../doctor/run-doctor.ts')
      process.exitCode = await runDoctor(flags)
    },
  )
  return setExamples(command, [
    ['inferwire doctor', 'check the local broker and its connector as a client'],
    [
      'inferwire doctor -c inferwire.yaml -u ann --password-file ./password',
      "check everything: the connector's configuration and login, and the client ann",
    ],
    ['inferwire doctor -c inferwire.yaml -n models', 'also check the InferenceServices in a namespace'],
    ['inferwire doctor -c inferwire.yaml --sample -o json', 'also run the models; print JSON for monitoring'],
  ])
}
