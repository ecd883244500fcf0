@Library('a@b') _
pipeline {
  agent { docker { image 'alpine'; args '-v a:b' } }
  options { timeout(time: 1, unit: 'HOURS'); retry(2) }
  parameters { string(name: 'A', defaultValue: 'x'); choice(name: 'B', choices: ['a', 'b']) }
  triggers { cron('H 4 * * *') }
  environment { A = "x${B}"; C = credentials('id') }
  tools { maven 'm3' }
  stages {
    stage('one') {
      when { beforeAgent true; allOf { branch 'main'; not { environment name: 'A', value: 'b' }; expression { return env.X ==~ /a.*/ } } }
      steps { sh 'make'; echo "a ${env.A}"; script { def x = [a: 1]; for (i in 0..3) { echo "${x.a + i}" } } }
      post { always { junit '**/*.xml' } cleanup { deleteDir() } }
    }
    stage('two') { failFast true
      parallel { stage('a') { steps { sh 'a' } } stage('b') { agent { label 'x' } stages { stage('c') { steps { sh 'c' } } } } } }
    stage('m') { matrix { axes { axis { name 'OS'; values 'l', 'm' } } excludes { exclude { axis { name 'OS'; notValues 'l' } } }
      stages { stage('s') { steps { sh "b ${OS}" } } } } }
    stage('i') { input { message 'ok?'; ok 'yes'; parameters { booleanParam(name: 'P', defaultValue: true) } } steps { echo 'i' } }
  }
}
